import { createHash, randomBytes } from 'node:crypto';

/** Hosts that the keys are spread over: neighbours in time are not neighbours in the tree. */
const HOSTS = 1000;
/** Most keys that fit the shape of `keyOf`: three digits of volumes on each host. */
export const KEYS_MAX = HOSTS * 1000;
/**
 * Different values in one load, made ahead of the clock. A prime, so that a key gets another value the next
 * time: SQLite writes nothing where the bytes are the same.
 */
const VALUES = 61;

export interface Item {
  readonly key: string;
  readonly value: Uint8Array;
}

const hosts = Array.from({ length: HOSTS }, (_, i) => uuidLike(i));

/** `hosts/<uuid>/volumes/<3 digits>`: 54 bytes. The same for the same number in every run. */
export function keyOf(i: number): string {
  const volume = String(Math.floor(i / HOSTS)).padStart(3, '0');
  return Buffer.from(`hosts/${hosts[i % HOSTS]}/volumes/${volume}`).toString();
}

/** An endless row of puts over `keys` keys, all made before the clock starts. */
export class Load {
  readonly keys: readonly string[];
  readonly #values: readonly Uint8Array[];
  #at: number;

  constructor(keys: number, valueBytes: number) {
    // Behind what `all` gives.
    this.#at = keys;
    this.keys = Array.from({ length: keys }, (_, i) => keyOf(i));
    this.#values = Array.from({ length: VALUES }, () => randomBytes(valueBytes));
  }

  next(): Item {
    const at = this.#at;
    this.#at += 1;
    return { key: this.keys[at % this.keys.length]!, value: this.#values[at % VALUES]! };
  }

  take(count: number): Item[] {
    return Array.from({ length: count }, () => this.next());
  }

  /** Every key once, in groups of `size`: how a store is filled. */
  *all(size: number): Generator<Item[]> {
    for (let at = 0; at < this.keys.length; at += size) {
      const keys = this.keys.slice(at, at + size);
      yield keys.map((key, i) => ({ key, value: this.#values[(at + i) % VALUES]! }));
    }
  }
}

function uuidLike(i: number): string {
  const hex = createHash('md5').update(`host ${i}`).digest('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
