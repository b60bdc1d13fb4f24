/** The locks that a store holds, over the engine's own (lock.ts). */
import { throwIfAborted } from '../base/abort.ts';
import { HoldfastError } from '../base/errors.ts';
import { normalizeKey } from './key.ts';
import { acquireLock, type HeldLock } from './lock.ts';
import { closedError } from './writer.ts';
import type { Engine } from './engine.ts';
import type { Lock, StoreLockOptions } from './store.ts';

/** libkv's default: what other hosts expect that take the same lock through a remote store. */
const TTL_SECONDS_DEFAULT = 20;

export class StoreLocks {
  readonly #engine: Engine;
  readonly #held = new Map<HeldLock, AbortController>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async lock(key: string, options: StoreLockOptions): Promise<Lock> {
    const { ttlSeconds = TTL_SECONDS_DEFAULT, value, signal } = options;
    throwIfAborted(signal);
    try {
      const name = normalizeKey(key);
      return this.#hold(await acquireLock(this.#engine, name, { ttlSeconds, value, signal }));
    } catch (thrown) {
      throwIfAborted(signal);
      throw isConflict(thrown) ? cannotLock(key, thrown) : thrown;
    }
  }

  /** Tells every holder, then gives back what can be: the rest ends with its time to live. */
  async close(): Promise<void> {
    const held = [...this.#held];
    for (const [, lost] of held) lost.abort(closedError());
    await Promise.allSettled(held.map(([lock]) => lock.unlock()));
  }

  #hold(held: HeldLock): Lock {
    const lost = new AbortController();
    const forget = (): void => {
      this.#held.delete(held);
    };
    const lose = (): void => {
      forget();
      lost.abort(held.lost.reason);
    };
    this.#held.set(held, lost);
    if (held.lost.aborted) lose();
    else held.lost.addEventListener('abort', lose, { once: true });
    return {
      token: held.fence,
      lost: lost.signal,
      unlock: async () => {
        forget();
        await held.unlock();
      },
    };
  }
}

function isConflict(thrown: unknown): boolean {
  return thrown instanceof HoldfastError && thrown.code === 'Conflict';
}

function cannotLock(key: string, cause: unknown): HoldfastError {
  return new HoldfastError('CannotLock', `lost the place in the queue for the lock ${key}`, {
    hint: 'ask for the lock again',
    cause,
  });
}
