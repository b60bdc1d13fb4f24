import type { Logger } from 'pino';
import { messageOf, toHoldfastError } from '../base/errors.ts';

/** SIGTERM stops within 10 s; what isn't done by now is left to the next start's recovery. */
const CLOSE_DEADLINE_MS = 9_000;
/** From the signal on, whatever the agent is at. */
const STOP_DEADLINE_MS = CLOSE_DEADLINE_MS + 500;
/** A second Ctrl-C means at once; 128 + SIGINT as shells have it. */
const EXIT_INTERRUPTED = 130;

/** Aborts at the first SIGTERM or SIGINT; a second SIGINT ends the process where it stands. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted && signal === 'SIGINT') process.exit(EXIT_INTERRUPTED);
    controller.abort();
    // Also while the agent still starts, held up by a disk: to the store it is a crash, as below.
    setTimeout(() => process.exit(), STOP_DEADLINE_MS).unref();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  return controller.signal;
}

/**
 * What was opened, to be closed however the run ends: first, side by side, all that takes work from
 * outside or does it; then, in reverse order, what they stand on.
 */
export class Closing {
  readonly #log: Logger;
  readonly #first: (() => Promise<unknown>)[] = [];
  readonly #last: (() => Promise<unknown>)[] = [];

  #failure: unknown;

  constructor(log: Logger) {
    this.#log = log;
  }

  first(close: () => Promise<unknown>): void {
    this.#first.push(close);
  }

  last(close: () => Promise<unknown>): void {
    this.#last.unshift(close);
  }

  /** What ended the run: past the deadline nobody else says it, and the exit code is still its. */
  because(thrown: unknown): void {
    this.#failure = thrown;
    process.exitCode = toHoldfastError(thrown).exitCode;
  }

  /** Past the deadline the process ends at once: to the store that is a crash, and it is made for those. */
  async close(): Promise<void> {
    const late = setTimeout(() => {
      this.#log.error(
        { deadlineMs: CLOSE_DEADLINE_MS, err: this.#failure },
        'not all could be closed in time; leaving',
      );
      process.exit();
    }, CLOSE_DEADLINE_MS);
    await Promise.all(this.#first.map((close) => this.#quietly(close)));
    for (const close of this.#last) await this.#quietly(close);
    // Not cleared: a thread that hangs in the kernel keeps the process, not us, from ending.
    late.unref();
  }

  async #quietly(close: () => Promise<unknown>): Promise<void> {
    try {
      await close();
    } catch (thrown) {
      this.#log.error({ err: thrown }, `closing failed: ${messageOf(thrown)}`);
    }
  }
}
