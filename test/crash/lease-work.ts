/** What the writer of the crash tests does with leases. */
import type { Engine, Op } from '../../src/engine/index.ts';
import type { Random } from './random.ts';
import type { AckedOp, Told } from './told.ts';
import { valueOf } from './values.ts';

/** None ends by its time while a test runs: what a lease does is what was asked for. */
const TTL_SECONDS = 24 * 3600;
const KEYS_MAX = 6;
/** One in so many is left to the next process, which ends about half of what it finds. */
const LEAVE_ONE_IN = 8;

export class LeaseWork {
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #tell: (told: Told) => void;
  readonly #serial: () => string;
  #found: Promise<number[]> | undefined;

  constructor(options: {
    engine: Engine;
    random: Random;
    tell: (told: Told) => void;
    serial: () => string;
  }) {
    this.#engine = options.engine;
    this.#random = options.random;
    this.#tell = options.tell;
    this.#serial = options.serial;
  }

  /** One lease from its grant to its end, or one that an earlier process left. */
  async step(): Promise<void> {
    this.#found ??= this.#engine.leases.list().then((all) => all.map(({ id }) => id));
    const left = (await this.#found).pop();
    if (left !== undefined) {
      if (this.#random.below(2) === 0) await this.#end(left);
      return;
    }
    const lease = await this.#engine.leases.grant(TTL_SECONDS);
    this.#tell({ lease, state: 'granted' });
    const name = this.#serial();
    const count = 1 + this.#random.below(KEYS_MAX);
    const keys = Array.from({ length: count }, (_, i) => `held/${name}/${i}`);
    const together = 1 + this.#random.below(count);
    await this.#put(lease, keys.slice(0, together));
    for (const key of keys.slice(together)) await this.#put(lease, [key]);
    await this.#engine.leases.keepAlive(lease);
    if (this.#random.below(LEAVE_ONE_IN) > 0) await this.#end(lease);
  }

  async #put(lease: number, keys: readonly string[]): Promise<void> {
    const serial = this.#serial();
    const ops = keys.map((key): Op => ({ type: 'put', key, value: valueOf(key, serial), lease }));
    const revision = await this.#engine.txn([], ops);
    this.#tell({ revision, ops: keys.map((key): AckedOp => [key, serial, lease]) });
  }

  async #end(lease: number): Promise<void> {
    const { keys } = await this.#engine.leases.timeToLive(lease);
    this.#tell({ lease, state: 'ending' });
    const revision = await this.#engine.leases.revoke(lease);
    if (revision !== undefined) this.#tell({ revision, ops: keys.map((key) => [key, null]) });
    this.#tell({ lease, state: 'ended' });
  }
}
