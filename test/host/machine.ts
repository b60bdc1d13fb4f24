import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { hasErrno } from '../../src/base/errors.ts';
import type { Port } from './network.ts';

/** The console's last words; a kernel that prints for ever doesn't fill the test's memory. */
const CONSOLE_CHARS_MAX = 256 * 1024;
/** Names the folder where the kernel has its own control socket. */
const UMID = 'uml';

export interface MachineOptions {
  /** Where its files are: disks, the socket of its kernel. Also what the leak check knows it by. */
  readonly folder: string;
  /** As the kernel's `ubda`: `image`, or `changes,image` for one that leaves the image as it is. */
  readonly rootDisk: string;
  readonly memoryMiB: number;
  /** Default: no network card. */
  readonly port?: Port | undefined;
}

/**
 * A kernel that runs as a process (User-Mode Linux), from power on to power off. It has a PID namespace of
 * its own: each process of the guest is one of the host, and when the first one dies, the kernel kills the rest. It
 * dies with the process that started it, also by SIGKILL.
 */
export class Machine {
  /** The first serial line of the guest. */
  readonly line: Duplex;
  /** Resolves when nothing of it is left. */
  readonly off: Promise<void>;
  readonly #process: ChildProcess;
  #console = '';
  #isOn = true;

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.line = child.stdio[3] as Duplex;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-CONSOLE_CHARS_MAX);
      });
    }
    // `close` waits for the last holder of our pipes: the guest's processes all hold them.
    this.off = new Promise((resolve) => {
      child.once('close', () => {
        this.#isOn = false;
        resolve();
      });
    });
  }

  /** @throws when the command can't be started at all; a guest that can't boot says so on its console */
  static async start({ folder, rootDisk, memoryMiB, port }: MachineOptions): Promise<Machine> {
    // Its pid in there is 1, as it will be in the next namespace: the kernel would take itself for the other one.
    rmSync(path.join(folder, UMID), { recursive: true, force: true });
    const own = ['--pdeathsig', 'KILL', '--'];
    if (port) own.push('ip', 'netns', 'exec', port.namespace);
    own.push('unshare', '--pid', '--fork', '--kill-child', '--');
    const card = port ? [`vec0:transport=tap,ifname=${port.tap},depth=64,mac=${port.mac}`] : [];
    const disks = [`ubda=${rootDisk}`, 'root=/dev/ubda', 'rootfstype=ext4', 'rw'];
    const lines = ['con=null', 'con0=null,fd:1', 'ssl=null', 'ssl0=fd:3'];
    const kernel = [`mem=${memoryMiB}M`, `uml_dir=${folder}`, `umid=${UMID}`, 'quiet'];
    // The kernel doesn't know the second, so init has it in its environment.
    const init = ['init=/sbin/holdfast-init', `holdfast_folder=${folder}`];
    const args = [...own, 'linux.uml', ...kernel, ...disks, ...lines, ...card, ...init];
    const child = spawn('setpriv', args, {
      cwd: folder,
      detached: true,
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, HOME: folder },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return new Machine(child);
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** What kernel and init printed, the last of it. */
  get console(): string {
    return this.#console;
  }

  /** The whole process group, at once and unasked. What was not written through to a disk is gone. */
  async cutPower(): Promise<void> {
    try {
      if (this.#isOn) process.kill(-this.#process.pid!, 'SIGKILL');
    } catch (thrown) {
      if (!hasErrno(thrown, 'ESRCH')) throw thrown;
    }
    await this.off;
  }
}
