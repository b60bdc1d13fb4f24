/**
 * Time to live for the entries of a store: a lease for each write that has one, which nobody keeps alive.
 *
 * A lease that was left behind (the key was written again, or deleted) is ended at once: otherwise a
 * long time to live that is refreshed often would pile them up to LEASES_MAX. After a restart those left
 * behind before it aren't known any more; they end by their time.
 */
import type { Engine, PutOptions } from './engine.ts';

/** Below so many, ids of leases that have ended by their time aren't worth looking for. */
const PRUNE_AT_LEAST = 1024;

export interface TtlPutOptions {
  readonly ifRevision?: number | undefined;
  readonly ttlSeconds?: number | undefined;
}

export class EntryLeases {
  readonly #engine: Engine;
  /** Granted here, hence with one key each: what else is under a lease is its holder's. */
  #granted = new Set<number>();
  #pruneAt = PRUNE_AT_LEAST;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @returns the revision. @throws what the engine's put and grant do; no lease is left then */
  async put(key: string, value: Uint8Array, options: TtlPutOptions): Promise<number> {
    const { ifRevision, ttlSeconds } = options;
    const before = await this.of(key);
    const put: PutOptions = { ifRevision, lease: await this.#grant(ttlSeconds) };
    try {
      const revision = await this.#engine.put(key, value, put);
      await this.end([before]);
      return revision;
    } catch (thrown) {
      await this.end([put.lease]);
      throw thrown;
    }
  }

  /** The lease that `key` has from here. */
  async of(key: string): Promise<number | undefined> {
    if (this.#granted.size === 0) return undefined;
    return (await this.#engine.get(key))?.lease;
  }

  /** Those of them granted here, whose key is under them no more. */
  async end(leases: readonly (number | undefined)[]): Promise<void> {
    const ours = leases.filter((id) => id !== undefined).filter((id) => this.#granted.delete(id));
    // Best effort: what can't be revoked now ends by its time, and the write itself is answered.
    await Promise.all(ours.map((id) => this.#engine.leases.revoke(id).catch(() => undefined)));
  }

  async #grant(ttlSeconds: number | undefined): Promise<number | undefined> {
    if (ttlSeconds === undefined) return undefined;
    if (this.#granted.size >= this.#pruneAt) await this.#prune();
    const id = await this.#engine.leases.grant(ttlSeconds);
    this.#granted.add(id);
    return id;
  }

  async #prune(): Promise<void> {
    const live = new Set((await this.#engine.leases.list()).map(({ id }) => id));
    this.#granted = new Set([...this.#granted].filter((id) => live.has(id)));
    this.#pruneAt = Math.max(PRUNE_AT_LEAST, 2 * this.#granted.size);
  }
}
