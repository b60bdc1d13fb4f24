import type { Clock } from '../base/clock.ts';

/** A doorbell: rung any number of times, it wakes the one that waits once, now or when it comes back. */
export class Wakeup {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Until it was rung, `ms` passed or the signal aborts. */
  async wait(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const bell = new AbortController();
      this.#wake = () => bell.abort();
      await clock.sleep(ms, AbortSignal.any([signal, bell.signal]));
      this.#wake = undefined;
    }
    this.#rung = false;
  }
}
