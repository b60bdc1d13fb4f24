/** Who watches a key, found without asking everybody. */
import { keyBytes, prefixesOf } from './key.ts';
import { isWithin, type KeySpan } from './span.ts';

/**
 * A key costs one look-up for itself and one per level, however many watch keys and prefixes; and one
 * comparison for each that watches a range (about 0.1 us).
 */
export class WatchIndex<W extends { readonly span: KeySpan }> {
  readonly #keys = new Map<string, Set<W>>();
  readonly #prefixes = new Map<string, Set<W>>();
  readonly #ranges = new Set<W>();
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
    if (span.type === 'range') this.#ranges.add(watcher);
    else if (span.type === 'key') addTo(this.#keys, span.key, watcher);
    else addTo(this.#prefixes, span.prefix, watcher);
  }

  remove(watcher: W): void {
    const { span } = watcher;
    this.#all.delete(watcher);
    if (span.type === 'range') this.#ranges.delete(watcher);
    else if (span.type === 'key') removeFrom(this.#keys, span.key, watcher);
    else removeFrom(this.#prefixes, span.prefix, watcher);
  }

  /** Each of them once. */
  *watching(key: string): Generator<W> {
    yield* this.#keys.get(key) ?? [];
    if (this.#prefixes.size > 0) {
      for (const prefix of prefixesOf(key)) yield* this.#prefixes.get(prefix) ?? [];
    }
    if (this.#ranges.size === 0) return;
    const bytes = keyBytes(key);
    for (const watcher of this.#ranges) {
      if (isWithin(watcher.span as KeySpan & { type: 'range' }, bytes)) yield watcher;
    }
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
