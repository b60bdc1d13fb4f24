/** What the writer of the crash tests writes: several callers at once, over all that the engine does. */
import { HoldfastError } from '../../src/base/errors.ts';
import type { Engine, Op } from '../../src/engine/index.ts';
import { LeaseWork } from './lease-work.ts';
import type { Random } from './random.ts';
import { valueOf } from './values.ts';
import type { AckedOp, Told } from './told.ts';

export type { Ack } from './told.ts';
export { serialOf, valueOf } from './values.ts';

/** Keys of one group are only ever written by one transaction, all of them with one serial. */
export const GROUP_KEYS = 8;
const GROUPS = 6;
const SMALL_KEYS = 300;
const COUNTERS = 10;
const BURST_MAX = 64;
/** Revisions the compactor leaves (more than a pipe holds in acknowledgements), and the rounds of a lone writer between its runs (on average). */
const LOG_KEPT = 1000;
const COMPACT_EVERY = 10;

export function groupKeys(group: number): string[] {
  return Array.from({ length: GROUP_KEYS }, (_, i) => `group/${group}/${i}`);
}

export class Workload {
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #epoch: string;
  readonly #compacts: boolean;
  readonly #tell: (told: Told) => void;
  readonly #leases: LeaseWork;
  #serials = 0;

  /** @param epoch makes the serials of this process its own */
  constructor(options: {
    engine: Engine;
    random: Random;
    epoch: string;
    compacts: boolean;
    tell: (told: Told) => void;
  }) {
    this.#engine = options.engine;
    this.#random = options.random;
    this.#epoch = options.epoch;
    this.#compacts = options.compacts;
    this.#tell = options.tell;
    this.#leases = new LeaseWork({ ...options, serial: () => this.#serial() });
  }

  /** Several callers at once, so that commits carry several of them. Ends only by an error. */
  async run(): Promise<never> {
    const loops = [
      () => this.#lone(),
      () => this.#lone(),
      () => this.#burst(),
      () => this.#group(),
      () => this.#group(),
      () => this.#leases.step(),
      () => this.#leases.step(),
    ];
    await Promise.all(
      loops.map(async (step) => {
        for (;;) await step();
      }),
    );
    throw new Error('unreachable: the loops have no end');
  }

  /**
   * The control of the kill test, which has to lose: it says of each put that it is acknowledged before it
   * asks for it. Nobody else writes, so the revisions are known beforehand.
   */
  async runEarly(): Promise<never> {
    for (;;) {
      const next = this.#engine.revision + 1;
      const count = 1 + this.#random.below(BURST_MAX);
      const puts = Array.from({ length: count }, (_, i) => {
        const key = `small/${this.#random.below(SMALL_KEYS)}`;
        const serial = this.#serial();
        this.#tell({ revision: next + i, ops: [[key, serial]] });
        return this.#engine.put(key, valueOf(key, serial));
      });
      await Promise.all(puts);
    }
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
    this.#tell({ revision, ops: [[key, serial]] });
  }

  async #swap(key: string): Promise<void> {
    const serial = this.#serial();
    const ifRevision = (await this.#engine.get(key))?.modRevision ?? 0;
    const revision = await unlessModified(() =>
      this.#engine.put(key, valueOf(key, serial), { ifRevision }),
    );
    if (revision !== undefined) this.#tell({ revision, ops: [[key, serial]] });
  }

  async #delete(key: string): Promise<void> {
    const revision = await this.#engine.delete(key);
    if (revision !== undefined) this.#tell({ revision, ops: [[key, null]] });
  }

  async #burst(): Promise<void> {
    const count = 1 + this.#random.below(BURST_MAX);
    const keys = Array.from({ length: count }, () => `small/${this.#random.below(SMALL_KEYS)}`);
    await Promise.all(keys.map((key) => this.#put(key)));
  }

  /** All keys of a group, or none, as long as nobody else changed it meanwhile. */
  async #group(): Promise<void> {
    const keys = groupKeys(this.#random.below(GROUPS));
    const serial = this.#random.below(5) === 0 ? null : this.#serial();
    const there = await this.#engine.get(keys[0]!);
    if (serial === null && !there) return;
    const ops = keys.map((key): Op =>
      serial === null ? { type: 'delete', key } : { type: 'put', key, value: valueOf(key, serial) },
    );
    const condition = { key: keys[0]!, modRevision: there?.modRevision ?? 0 };
    const revision = await unlessModified(() => this.#engine.txn([condition], ops));
    if (revision === undefined) return;
    this.#tell({ revision, ops: keys.map((key): AckedOp => [key, serial]) });
  }

  #serial(): string {
    this.#serials += 1;
    return `${this.#epoch}.${this.#serials}`;
  }
}

/** Undefined when the other writer was faster: that is what comparing is for. */
async function unlessModified(write: () => Promise<number>): Promise<number | undefined> {
  try {
    return await write();
  } catch (thrown) {
    const codes = ['KeyModified', 'KeyExists'];
    if (thrown instanceof HoldfastError && codes.includes(thrown.code)) return undefined;
    throw thrown;
  }
}
