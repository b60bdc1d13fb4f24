/**
 * Exponential backoff with full jitter: each wait is uniform in [0, min(max, first * 2^attempt)],
 * so that a fleet which lost one server doesn't come back in step.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(firstMs: number, maxMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const ceiling = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#attempt);
    if (ceiling < this.#maxMs) this.#attempt += 1;
    return Math.round(this.#random() * ceiling);
  }

  /** After a success. */
  reset(): void {
    this.#attempt = 0;
  }
}
