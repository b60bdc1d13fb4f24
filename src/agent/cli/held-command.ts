/**
 * A command that runs while something is held (a lock, leadership). It has a session of its own, so that it
 * can be ended with all that it started. If we die without a word (SIGKILL), the kernel sends it SIGTERM.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { untilAborted } from '../../base/abort.ts';
import { guarded } from '../../base/guarded.ts';
import { hasErrno, HoldfastError, messageOf } from '../../base/errors.ts';

/** From SIGTERM to SIGKILL for a command whose lock is another's already. */
const GRACE_MS = 5_000;
/** Between two looks for what such a command has started. */
const LOOK_MS = 20;
/** What shells give a command that a signal ended: so much and the signal's number. */
const EXIT_BY_SIGNAL = 128;
/** Those that end a process which doesn't care about them, and those that mean what a command wants. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
const PASSED_ON = [...ENDING, 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;

export class HeldCommand {
  readonly #argv: readonly string[];
  readonly #ending = new AbortController();
  #endedBy: NodeJS.Signals | undefined;
  #child: ChildProcess | undefined;

  /** Signals to this process are the command's from here on. @param argv none: only what is held matters */
  constructor(argv: readonly string[]) {
    this.#argv = argv;
    for (const name of PASSED_ON) process.on(name, this.#onSignal);
    // Stopped, we would keep nothing alive while the command runs on.
    process.on('SIGTSTP', ignore);
  }

  /** Aborts when a signal asks us to end and there is no command to pass it on to. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** For `ending`. */
  get exitCode(): number {
    return exitCodeOf(this.#endedBy ?? 'SIGTERM');
  }

  /**
   * Runs until it ends, and sees to it that it does when `lost` aborts. Without a command: until either aborts.
   * @returns its exit code; 128 and the signal's number when a signal ended it; 127, 126: it can't be run
   */
  async run(env: Readonly<Record<string, string>>, lost: AbortSignal): Promise<number> {
    if (this.#ending.signal.aborted) return this.exitCode;
    if (this.#argv.length === 0) return this.#untilEnding(lost);
    const child = start(this.#argv, env);
    this.#child = child;
    let kill: NodeJS.Timeout | undefined;
    const end = (): void => {
      this.#send('SIGTERM');
      kill = setTimeout(() => this.#send('SIGKILL'), GRACE_MS);
    };
    lost.addEventListener('abort', end);
    if (lost.aborted) end();
    try {
      const code = await exitOf(child, this.#argv);
      if (lost.aborted) await this.#othersGone();
      return code;
    } finally {
      clearTimeout(kill);
      lost.removeEventListener('abort', end);
      this.#child = undefined;
    }
  }

  [Symbol.dispose](): void {
    for (const name of PASSED_ON) process.off(name, this.#onSignal);
    process.off('SIGTSTP', ignore);
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    if (this.#child) return void this.#send(name);
    if (!ENDING.some((ending) => ending === name)) return;
    this.#endedBy ??= name;
    this.#ending.abort();
  };

  async #untilEnding(lost: AbortSignal): Promise<number> {
    await Promise.race([untilAborted(this.#ending.signal), untilAborted(lost)]);
    return 0;
  }

  /** What the command started may take the time, too, that it had itself. */
  async #othersGone(): Promise<void> {
    for (let waitedMs = 0; waitedMs < GRACE_MS && this.#send(0); waitedMs += LOOK_MS) {
      await sleep(LOOK_MS);
    }
    this.#send('SIGKILL');
  }

  /** @param signal 0 only looks. @returns whether anything of the command is left */
  #send(signal: NodeJS.Signals | 0): boolean {
    const pid = this.#child?.pid;
    if (pid === undefined) return false;
    try {
      return process.kill(-pid, signal);
    } catch (thrown) {
      if (hasErrno(thrown, 'ESRCH')) return false;
      throw thrown;
    }
  }
}

function start(argv: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  return spawn('setpriv', guarded('TERM', argv), {
    stdio: 'inherit',
    detached: true,
    env: { ...process.env, ...env },
  });
}

async function exitOf(child: ChildProcess, argv: readonly string[]): Promise<number> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return code ?? exitCodeOf(signal ?? 'SIGKILL');
  } catch (cause) {
    throw new HoldfastError('HostFailed', `cannot start ${argv[0]}: ${messageOf(cause)}`, {
      hint: 'setpriv (util-linux) has to be installed',
      cause,
    });
  }
}

function exitCodeOf(signal: NodeJS.Signals): number {
  return EXIT_BY_SIGNAL + constants.signals[signal];
}

function ignore(): void {
  // See the constructor.
}
