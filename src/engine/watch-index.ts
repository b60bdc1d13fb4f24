/** Who watches a key, found without asking everybody. */
import { keyBytes, prefixesOf } from './key.ts';
import { RangeIndex } from './range-index.ts';
import type { KeySpan } from './span.ts';

/**
 * A key costs one look-up for itself and one per level, however many watch keys and prefixes; and a search
 * among those who watch ranges (range-index.ts says what that is).
 */
export class WatchIndex<W extends { readonly span: KeySpan }> {
  readonly #keys = new Map<string, Set<W>>();
  readonly #prefixes = new Map<string, Set<W>>();
  readonly #ranges = new RangeIndex<W>();
  /** Ranges without an end: among the others they would make every search a walk. */
  readonly #endless = new RangeIndex<W>();
  readonly #all = new Set<W>();

  get size(): number {
    return this.#all.size;
  }

  all(): Iterable<W> {
    return this.#all;
  }

  add(watcher: W): void {
    const { span } = watcher;
    this.#all.add(watcher);
    if (span.type === 'range') this.#rangesLike(span).add(span, watcher);
    else if (span.type === 'key') addTo(this.#keys, span.key, watcher);
    else addTo(this.#prefixes, span.prefix, watcher);
  }

  remove(watcher: W): void {
    const { span } = watcher;
    this.#all.delete(watcher);
    if (span.type === 'range') this.#rangesLike(span).remove(watcher);
    else if (span.type === 'key') removeFrom(this.#keys, span.key, watcher);
    else removeFrom(this.#prefixes, span.prefix, watcher);
  }

  /** Each of them once. */
  *watching(key: string): Generator<W> {
    yield* this.#keys.get(key) ?? [];
    if (this.#prefixes.size > 0) {
      for (const prefix of prefixesOf(key)) yield* this.#prefixes.get(prefix) ?? [];
    }
    if (this.#ranges.size + this.#endless.size === 0) return;
    const bytes = keyBytes(key);
    yield* this.#ranges.covering(bytes);
    yield* this.#endless.covering(bytes);
  }

  #rangesLike({ before }: { readonly before: Buffer | undefined }): RangeIndex<W> {
    return before === undefined ? this.#endless : this.#ranges;
  }
}

function addTo<W>(sets: Map<string, Set<W>>, at: string, watcher: W): void {
  const watchers = sets.get(at);
  if (watchers) watchers.add(watcher);
  else sets.set(at, new Set([watcher]));
}

function removeFrom<W>(sets: Map<string, Set<W>>, at: string, watcher: W): void {
  const watchers = sets.get(at);
  watchers?.delete(watcher);
  if (watchers?.size === 0) sets.delete(at);
}
