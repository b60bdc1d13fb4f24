import type { Engine } from '../engine/index.ts';
import { HoldfastError } from '../base/errors.ts';
import { parseObject } from './checkpoint.ts';
import { TargetError } from './target-error.ts';

/** More than this is no longer a poisoned entry but a target that takes nothing: sync stops and says so. */
const PARKED_MAX = 1000;

/** Entries that a target refused for good, at `sync/parked/<target>/<n>`, one per key. */
export class ParkingLot {
  readonly #engine: Engine;
  readonly #prefix: string;
  readonly #numbers = new Map<string, number>();
  /** Parked before the comparison that goes on, and not yet met by it. */
  #unmet = new Set<string>();
  #next = 1;

  constructor(engine: Engine, targetId: string) {
    this.#engine = engine;
    this.#prefix = `sync/parked/${targetId}`;
  }

  get size(): number {
    return this.#numbers.size;
  }

  async load(): Promise<void> {
    this.#numbers.clear();
    this.#next = 1;
    const { kvs } = await this.#engine.list(this.#prefix);
    for (const { key, value } of kvs) {
      const number = Number(key.slice(this.#prefix.length + 1));
      const parked = parseObject(value)?.key;
      if (!Number.isSafeInteger(number) || typeof parked !== 'string') continue;
      this.#numbers.set(parked, number);
      this.#next = Math.max(this.#next, number + 1);
    }
  }

  /**
   * Keeps the key and the reason, not the value: that is in the engine.
   * @returns whether the key is new here. @throws TargetError when it is full: that is the target's doing
   */
  async park(key: string, reason: HoldfastError, at: string): Promise<boolean> {
    const isNew = !this.#numbers.has(key);
    if (isNew && this.size >= PARKED_MAX) {
      const message = `the target refused more than ${PARKED_MAX} entries, last ${key}: ${reason.message}`;
      const { hint } = reason;
      throw new TargetError(new HoldfastError(reason.code, message, { hint, cause: reason }));
    }
    this.#unmet.delete(key);
    const number = this.#numbers.get(key) ?? this.#next++;
    const record = { key, code: reason.code, message: reason.message, at };
    await this.#engine.put(`${this.#prefix}/${number}`, Buffer.from(JSON.stringify(record)));
    this.#numbers.set(key, number);
    return isNew;
  }

  beginComparison(): void {
    this.#unmet = new Set(this.#numbers.keys());
  }

  /** What it didn't have to send, or could, is as it is here: gone from both sides, for example. */
  async endComparison(): Promise<void> {
    for (const key of this.#unmet) await this.release(key);
    this.#unmet.clear();
  }

  /** The target took a later value (or the delete) of this key. */
  async release(key: string): Promise<void> {
    const number = this.#numbers.get(key);
    if (number === undefined) return;
    await this.#engine.delete(`${this.#prefix}/${number}`);
    this.#numbers.delete(key);
  }
}
