/** One holder at a time per key, waiters in order; different keys never wait for each other. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const mine = before.then(work);
    const tail = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }

  /** Whether somebody holds the key, or waits for it. */
  holds(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Keys that are held or waited for. */
  get size(): number {
    return this.#tails.size;
  }
}
