import type { ChangeSet, Engine } from '../../src/engine/index.ts';

/** Everything a watch of all keys has seen, over several openings of one store. */
export class WatchLog {
  readonly sets: ChangeSet[] = [];
  readonly #previousValues: boolean;
  #wake: (() => void) | undefined;
  #reading: Promise<void> | undefined;
  /** Why the watch now followed has ended. */
  #ended: Error | undefined;

  constructor(previousValues = false) {
    this.#previousValues = previousValues;
  }

  /** Goes on after the last revision seen, until the engine closes. */
  follow(engine: Engine): void {
    const { signal } = new AbortController();
    const from = (this.sets.at(-1)?.revision ?? 0) + 1;
    const watch = engine.watch('', { from, previousValues: this.#previousValues, signal });
    const reading = (async () => {
      for await (const set of watch) {
        this.sets.push(set);
        this.#wake?.();
      }
    })();
    this.#reading = reading;
    this.#ended = undefined;
    reading.catch((thrown: Error) => {
      // Its engine was closed, as intended, when another is followed by now.
      if (this.#reading !== reading) return;
      this.#ended = thrown;
      this.#wake?.();
    });
  }

  /** Resolves when `revision` was seen. @throws what ended the watch before */
  async reached(revision: number): Promise<void> {
    while ((this.sets.at(-1)?.revision ?? 0) < revision) {
      if (this.#ended) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
