import { setImmediate as nextTurn } from 'node:timers/promises';

/** The main loop gets its turn after this long; one device takes 0.2-0.5 ms to read. */
const SLICE_MS = 4;

/** Cuts a long synchronous walk into slices, so that nobody else on the main loop waits for its end. */
export class Slices {
  #startMs = performance.now();

  /** To be awaited between two pieces: lets the loop turn when the slice is used up. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#startMs < SLICE_MS) return;
    await nextTurn();
    this.#startMs = performance.now();
  }
}
