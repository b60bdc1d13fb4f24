/**
 * A disk that stops answering, for real: eight loop devices whose images lie on an ext4 that gets
 * frozen. Reads still work; a write sleeps in the kernel (state D, deaf to SIGKILL) until the thaw, so
 * mounting one of them (ext4 writes its superblock) hangs as it does on a dying disk.
 *
 * Rules: nothing of Node's fs API may touch the frozen file system (writers of this process couldn't
 * be killed), and a watchdog in a process of its own thaws it even when the test is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { loopAttach, mount } from './index.ts';
import { MIB, run, Scratch } from './scratch.ts';

/** The thaw comes after this at the latest; far above what a test needs. */
const WATCHDOG_SECONDS = 20;

export const STUCK_DEVICES = 8;

export class StuckDisk {
  readonly scratch = new Scratch();
  readonly devices: { source: string; target: string }[] = [];
  #frozen: string | undefined;
  #watchdog: ChildProcess | undefined;

  async prepare(): Promise<void> {
    const outer = await loopAttach({ backingFile: this.scratch.image('outer', 256 * MIB) });
    run('mkfs.ext4', ['-q', outer.path]);
    const folder = this.scratch.folder('outer-mnt');
    await mount({ source: outer.path, target: folder, type: 'ext4' });
    for (let i = 0; i < STUCK_DEVICES; i++) {
      const { path } = await loopAttach({
        backingFile: this.scratch.image(`outer-mnt/${i}`, 16 * MIB),
      });
      run('mkfs.ext4', ['-q', path]);
      this.devices.push({ source: path, target: this.scratch.folder(`inner-mnt${i}`) });
    }
    run('sync', ['-f', folder]);
    this.#frozen = folder;
  }

  freeze(): void {
    const script = `sleep ${WATCHDOG_SECONDS}; fsfreeze --unfreeze "$1"`;
    const options = { detached: true, stdio: 'ignore' } as const;
    this.#watchdog = spawn('sh', ['-c', script, 'watchdog', this.#frozen!], options);
    run('fsfreeze', ['--freeze', this.#frozen!]);
  }

  thaw(): void {
    if (this.#watchdog?.pid === undefined) return;
    run('fsfreeze', ['--unfreeze', this.#frozen!]);
    process.kill(-this.#watchdog.pid);
    this.#watchdog = undefined;
  }

  [Symbol.dispose](): void {
    this.thaw();
    this.scratch[Symbol.dispose]();
  }
}
