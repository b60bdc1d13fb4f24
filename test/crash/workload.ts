/**
 * What the writer of the crash tests writes, and how it says what was acknowledged.
 *
 * A value follows from its key and its serial, so an acknowledgement needs only the serial, and any
 * value found later proves by itself that it is whole and belongs to its key.
 */
import { crc32 } from 'node:zlib';
import { HoldfastError } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/bytes.ts';
import type { Engine, Op } from '../../src/engine/index.ts';
import type { Random } from './random.ts';

/** One acknowledged revision: what each key became, null for a delete. One JSON line of the writer. */
export interface Ack {
  readonly revision: number;
  readonly ops: ReadonlyArray<readonly [key: string, serial: string | null]>;
}

/** Keys of one group are only ever written by one transaction, all of them with one serial. */
export const GROUP_KEYS = 8;
const GROUPS = 6;
const SMALL_KEYS = 300;
const COUNTERS = 10;
const BURST_MAX = 64;
/** Revisions the compactor leaves, and the rounds of a lone writer between its runs (on average). */
const LOG_KEPT = 300;
const COMPACT_EVERY = 10;

export function valueOf(key: string, serial: string): Uint8Array {
  const head = `${key} ${serial} `;
  const hash = crc32(head);
  const sizes = [100, 100, 100, 100, 100, 1000, 1000, 4 * KiB, 9 * KiB, 40 * KiB];
  const value = Buffer.alloc(head.length + (hash % sizes[hash % sizes.length]!), `${hash} `);
  value.write(head);
  return value;
}

/** The serial of a value, undefined when it is not exactly what was written for `key`. */
export function serialOf(key: string, value: Uint8Array): string | undefined {
  const start = Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, 200)).toString();
  const serial = start.split(' ', 2)[1];
  if (serial === undefined || Buffer.compare(valueOf(key, serial), value) !== 0) return undefined;
  return serial;
}

export function groupKeys(group: number): string[] {
  return Array.from({ length: GROUP_KEYS }, (_, i) => `group/${group}/${i}`);
}

export class Workload {
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #epoch: string;
  readonly #compacts: boolean;
  readonly #acknowledged: (ack: Ack) => void;
  #serials = 0;

  /** @param epoch makes the serials of this process its own */
  constructor(options: {
    engine: Engine;
    random: Random;
    epoch: string;
    compacts: boolean;
    acknowledged: (ack: Ack) => void;
  }) {
    this.#engine = options.engine;
    this.#random = options.random;
    this.#epoch = options.epoch;
    this.#compacts = options.compacts;
    this.#acknowledged = options.acknowledged;
  }

  /** Several callers at once, so that commits carry several of them. Ends only by an error. */
  async run(): Promise<never> {
    const loops = [
      () => this.#lone(),
      () => this.#lone(),
      () => this.#burst(),
      () => this.#group(),
    ];
    await Promise.all(
      loops.map(async (step) => {
        for (;;) await step();
      }),
    );
    throw new Error('unreachable: the loops have no end');
  }

  async #lone(): Promise<void> {
    const below = (before: number): number => this.#random.below(before);
    const kind = below(10);
    if (kind < 4) await this.#put(`small/${below(SMALL_KEYS)}`);
    else if (kind < 7) await this.#swap(`counter/${below(COUNTERS)}`);
    else await this.#delete(`small/${below(SMALL_KEYS)}`);
    if (this.#compacts && below(COMPACT_EVERY) === 0) {
      await this.#engine.compact(Math.max(0, this.#engine.revision - LOG_KEPT));
    }
  }

  async #put(key: string): Promise<void> {
    const serial = this.#serial();
    const revision = await this.#engine.put(key, valueOf(key, serial));
    this.#acknowledged({ revision, ops: [[key, serial]] });
  }

  async #swap(key: string): Promise<void> {
    const serial = this.#serial();
    const ifRevision = (await this.#engine.get(key))?.modRevision ?? 0;
    try {
      const revision = await this.#engine.put(key, valueOf(key, serial), { ifRevision });
      this.#acknowledged({ revision, ops: [[key, serial]] });
    } catch (thrown) {
      // The other lone writer was faster: that is what comparing is for.
      const codes = ['KeyModified', 'KeyExists'];
      if (!(thrown instanceof HoldfastError && codes.includes(thrown.code))) throw thrown;
    }
  }

  async #delete(key: string): Promise<void> {
    const revision = await this.#engine.delete(key);
    if (revision !== undefined) this.#acknowledged({ revision, ops: [[key, null]] });
  }

  async #burst(): Promise<void> {
    const count = 1 + this.#random.below(BURST_MAX);
    const keys = Array.from({ length: count }, () => `small/${this.#random.below(SMALL_KEYS)}`);
    await Promise.all(keys.map((key) => this.#put(key)));
  }

  async #group(): Promise<void> {
    const keys = groupKeys(this.#random.below(GROUPS));
    const serial = this.#random.below(5) === 0 ? null : this.#serial();
    const there = (await this.#engine.get(keys[0]!)) !== undefined;
    if (serial === null && !there) return;
    const ops = keys.map((key): Op =>
      serial === null ? { type: 'delete', key } : { type: 'put', key, value: valueOf(key, serial) },
    );
    const revision = await this.#engine.txn([], ops);
    this.#acknowledged({ revision, ops: keys.map((key) => [key, serial] as const) });
  }

  #serial(): string {
    this.#serials += 1;
    return `${this.#epoch}.${this.#serials}`;
  }
}
