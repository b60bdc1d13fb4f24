/** Ranges in the order of their beginnings, asked which of them a key lies in. */
import type { KeyRange } from './span.ts';

interface Place<T> {
  readonly range: KeyRange;
  readonly item: T;
  /** The furthest end of this range and all that begin before it; undefined: one has none. */
  furthest: Buffer | undefined;
}

/**
 * A key costs a binary search, and a look at each range behind it until none of the earlier ones reaches
 * that far: for ranges that don't overlap, one. Each range that is added or removed costs a walk over those behind it.
 */
export class RangeIndex<T> {
  readonly #places: Place<T>[] = [];

  get size(): number {
    return this.#places.length;
  }

  add(range: KeyRange, item: T): void {
    const at = this.#countUpTo(range.from);
    this.#places.splice(at, 0, { range, item, furthest: range.before });
    this.#reach(at);
  }

  remove(item: T): void {
    const at = this.#places.findIndex((place) => place.item === item);
    if (at === -1) return;
    this.#places.splice(at, 1);
    this.#reach(at);
  }

  *covering(key: Uint8Array): Generator<T> {
    for (let at = this.#countUpTo(key) - 1; at >= 0; at -= 1) {
      const { range, item, furthest } = this.#places[at]!;
      if (endsBy(furthest, key)) return;
      if (!endsBy(range.before, key)) yield item;
    }
  }

  /** Ranges that begin at `key` or before it. */
  #countUpTo(key: Uint8Array): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#places[middle]!.range.from, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Sets `furthest` anew from `at` on. */
  #reach(at: number): void {
    for (let i = at; i < this.#places.length; i += 1) {
      const place = this.#places[i]!;
      place.furthest = i === 0 ? place.range.before : further(place, this.#places[i - 1]!);
    }
  }
}

function further<T>({ range }: Place<T>, { furthest }: Place<T>): Buffer | undefined {
  if (range.before === undefined || furthest === undefined) return undefined;
  return Buffer.compare(range.before, furthest) > 0 ? range.before : furthest;
}

function endsBy(end: Buffer | undefined, key: Uint8Array): boolean {
  return end !== undefined && Buffer.compare(end, key) <= 0;
}
