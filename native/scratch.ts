/** What the tests of this folder stand on: a temp folder with images, loop devices and mounts, taken down in any case. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

export const MIB = 1024 * 1024;

/** Loop devices and mounts need CAP_SYS_ADMIN. */
export const isRoot = process.getuid?.() === 0;

export class Scratch {
  readonly dir = mkdtempSync(join(tmpdir(), 'holdfast-test-'));

  /** A sparse file of `sizeBytes`. */
  image(name: string, sizeBytes: number): string {
    const path = join(this.dir, name);
    writeFileSync(path, '');
    truncateSync(path, sizeBytes);
    return path;
  }

  folder(name: string): string {
    const path = join(this.dir, name);
    mkdirSync(path);
    return path;
  }

  /** Unmounts and detaches whatever the kernel says lies under this folder, then removes it. */
  [Symbol.dispose](): void {
    // Last mounted first; an image may itself lie on a mount, so devices and mounts take turns.
    // A device that is mounted still goes with its mount: losetup -d means "at the last close".
    this.#detachAll();
    for (const target of this.#mounts().reverse()) {
      run('umount', [target]);
      this.#detachAll();
    }
    rmSync(this.dir, { recursive: true });
  }

  #mounts(): string[] {
    const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    return lines
      .map((line) => line.split(' ')[4] ?? '')
      .filter((path) => path.startsWith(`${this.dir}/`));
  }

  #detachAll(): void {
    const rows = run('losetup', ['-n', '-O', 'NAME,BACK-FILE']).split('\n');
    for (const row of rows) {
      const [name, backing] = row.trim().split(/\s+/, 2);
      if (name && backing?.startsWith(`${this.dir}/`)) this.#detach(name);
    }
  }

  #detach(device: string): void {
    try {
      run('losetup', ['-d', device]);
    } catch (cause) {
      // One that was let go by its umount may be gone since it was listed: the kernel does that later.
      if (loopAttribute(device, 'backing_file')?.startsWith(`${this.dir}/`)) throw cause;
    }
  }
}

/** @returns what the command printed. */
export function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The kernel's own word on a loop device; undefined when nothing is attached. */
export function loopAttribute(device: string, name: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${basename(device)}/loop/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** mountinfo's line for a mount point, undefined when nothing is mounted there. */
export function mountLine(target: string): string | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.find((line) => line.split(' ')[4] === target);
}
