import { untilAborted } from './abort.ts';
import type { Clock } from './clock.ts';

/** A doorbell: rung any number of times, it wakes the one that waits once, now or when it comes back. */
export class Wakeup {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Until it was rung, `ms` passed (undefined: for as long as it takes) or the signal aborts. */
  async wait(ms: number | undefined, clock: Clock, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const bell = new AbortController();
      this.#wake = () => bell.abort();
      signal.addEventListener('abort', this.#wake, { signal: bell.signal });
      await (ms === undefined ? untilAborted(bell.signal) : clock.sleep(ms, bell.signal));
      // Takes the listener off `signal`, which may live as long as the process.
      bell.abort();
      this.#wake = undefined;
    }
    this.#rung = false;
  }
}
