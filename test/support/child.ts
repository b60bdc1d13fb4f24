import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** Output kept per child; a server that logs for ever doesn't fill the test's memory. */
const OUTPUT_BYTES_MAX = 1024 * 1024;

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Each piece of stdout as it comes, for one whose output is longer than what is kept. */
  readonly onStdout?: (chunk: string) => void;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A process that never outlives the one that started it: the kernel kills it with its parent
 * (PR_SET_PDEATHSIG, prctl(2), through setpriv), even when a vitest worker dies by SIGKILL.
 */
export class Child {
  readonly command: string;
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(command: string, child: ChildProcess, onStdout?: (chunk: string) => void) {
    this.command = command;
    this.#process = child;
    const keep = (chunk: string): void => {
      this.#output = (this.#output + chunk).slice(-OUTPUT_BYTES_MAX);
    };
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    if (onStdout) child.stdout?.on('data', onStdout);
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** @throws when the command can't be started at all. */
  static async start(command: string, args: readonly string[], options: ChildOptions = {}) {
    const { onStdout, ...spawnOptions } = options;
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      ...spawnOptions,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return new Child(command, child, onStdout);
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** stdout and stderr as they came, the last MiB. */
  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Resolves when `check` answers true. @throws when the child ends first or `timeoutMs` passes. */
  async waitUntil(what: string, check: () => boolean | Promise<boolean>, timeoutMs = 30_000) {
    const deadline = Date.now() + timeoutMs;
    while (!(await check())) {
      if (!this.running) {
        await this.exited;
        throw new Error(`${this.command} ended before ${what}:\n${this.tail()}`);
      }
      if (Date.now() > deadline) {
        throw new Error(`${this.command}: ${what} not within ${timeoutMs} ms:\n${this.tail()}`);
      }
      await sleep(20);
    }
  }

  /** Resolves with the piece of output that completes `pattern`: no polling. @throws when it ends first */
  async waitForOutput(pattern: RegExp): Promise<void> {
    const streams = [this.#process.stdout, this.#process.stderr];
    const found = new Promise<boolean>((resolve) => {
      const look = (): void => {
        if (pattern.test(this.#output)) resolve(true);
      };
      look();
      for (const stream of streams) stream?.on('data', look);
      void this.exited.then(() => resolve(pattern.test(this.#output)));
    });
    if (!(await found))
      throw new Error(`${this.command} ended without ${pattern}:\n${this.tail()}`);
  }

  /** SIGTERM, and SIGKILL after `timeoutMs`. Fine when it ended already. */
  async stop(timeoutMs = 15_000): Promise<ChildExit> {
    if (this.running) this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), timeoutMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async kill(): Promise<ChildExit> {
    if (this.running) this.#process.kill('SIGKILL');
    return this.exited;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  tail(): string {
    return this.#output.split('\n').slice(-30).join('\n');
  }
}
