/**
 * Locks: one holder at a time, those who wait get it in the order they came.
 *
 * HOW. A lock is a prefix of the caller's. Who wants it puts a ticket there: a key `<prefix>/<lease in
 * hex>/ticket` under a lease of its own, with a value that says who it is. The ticket with the lowest
 * create revision holds the lock. Everybody else watches the one ticket before theirs and looks again
 * when that is gone: each release wakes one waiter, however many there are. (etcd's lock does the same.)
 *
 * THE END. `unlock` revokes the lease. A holder whose process dies stops keeping it alive, so the next one
 * gets the lock after the time to live. A waiter that gives up, or dies, leaves in the same way.
 *
 * `lost` aborts when the ticket is gone, by its lease or by force, when the lease couldn't be kept alive
 * for its whole time, and when the engine closes. It can't come in time for a holder that stood still:
 * its lock may have ended and been taken before it runs again. So what the lock guards should take the
 * *fence* with each request and refuse one that is lower than the last: it is the ticket's create
 * revision, hence higher for each holder than for any before.
 */
import { HoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { normalizePrefix } from './key.ts';
import { LOCK_VALUE_BYTES_MAX } from './limits.ts';
import { inOrder, Ticket, untilGone, type LockEngine } from './ticket.ts';
import type { KeyValue } from './engine.ts';

/** Long enough for a slow disk and a busy host, short enough to wait for after a crash. */
const TTL_SECONDS_DEFAULT = 10;

export interface LockOptions {
  /** How long the lock outlives a holder that died; a whole number from 1, default 10. */
  readonly ttlSeconds?: number | undefined;
  /** Who holds it, for others to read: up to 4 KiB, default none. */
  readonly value?: Uint8Array | undefined;
  /** Gives up waiting. Once the lock is held it does nothing. */
  readonly signal?: AbortSignal | undefined;
  /** Only tests have another one. */
  readonly clock?: Clock | undefined;
}

export interface HeldLock {
  /** The ticket; deleting it takes the lock away. */
  readonly key: string;
  /** Higher for each holder than for all before. */
  readonly fence: number;
  /** Aborts when the lock is ours no more, other than by `unlock`; its reason says why. */
  readonly lost: AbortSignal;
  /** Changes what others read. @returns the revision. @throws KeyModified, NotFound when it is lost; TooLarge */
  setValue(value: Uint8Array): Promise<number>;
  /** May be repeated, also when it is lost. @throws NoSpace, Unavailable: then it ends with its time to live */
  unlock(): Promise<void>;
}

/**
 * Waits for the lock under `prefix`.
 * @throws Cancelled by the signal, Conflict when the place in the queue is lost, Unavailable when the engine
 *   closes; nothing is left of it then
 */
export async function acquireLock(
  engine: LockEngine,
  prefix: string,
  options: LockOptions = {},
): Promise<HeldLock> {
  const { ttlSeconds = TTL_SECONDS_DEFAULT, value = new Uint8Array(0), signal } = options;
  const name = lockName(prefix);
  checkValue(value);
  if (signal?.aborted) throw cancelled(name);
  const clock = options.clock ?? systemClock;
  const ticket = await Ticket.take({ engine, prefix: name, ttlSeconds, value, clock });
  try {
    await turnOf(engine, name, ticket, signal);
  } catch (thrown) {
    // Best effort: nobody keeps it alive any more.
    await ticket.giveBack().catch(() => undefined);
    throw thrown;
  }
  return {
    key: ticket.key,
    fence: ticket.createRevision,
    lost: ticket.lost,
    setValue: async (next) => {
      checkValue(next);
      return ticket.setValue(next);
    },
    unlock: () => ticket.giveBack(),
  };
}

/** The tickets of the holder, with its value, and of those who wait, in order. A createRevision is a fence. */
export async function lockQueue(engine: LockEngine, prefix: string): Promise<KeyValue[]> {
  const name = lockName(prefix);
  return inOrder(name, (await engine.list(name)).kvs);
}

/** The ticket of who holds the lock. */
export async function lockHolder(
  engine: LockEngine,
  prefix: string,
): Promise<KeyValue | undefined> {
  return (await lockQueue(engine, prefix))[0];
}

async function turnOf(
  engine: LockEngine,
  prefix: string,
  ticket: Ticket,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  // Not AbortSignal.any: `signal` may live as long as the process, and would remember every call.
  signal?.addEventListener('abort', onAbort);
  ticket.lost.addEventListener('abort', onAbort);
  try {
    for (;;) {
      if (signal?.aborted) throw cancelled(prefix);
      if (ticket.lost.aborted) throw placeLost(prefix, ticket);
      const queue = await lockQueue(engine, prefix);
      const place = queue.findIndex(({ key }) => key === ticket.key);
      if (place === -1) throw placeLost(prefix, ticket);
      if (place === 0) return;
      await untilGone(engine, queue[place - 1]!.key, stop.signal);
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    ticket.lost.removeEventListener('abort', onAbort);
  }
}

/** @throws InvalidArgument, TooLarge */
export function lockName(prefix: string): string {
  const name = normalizePrefix(prefix);
  if (name !== '') return name;
  throw new HoldfastError('InvalidArgument', 'a lock needs a prefix of its own, not the empty one');
}

function checkValue(value: Uint8Array): void {
  if (value.length <= LOCK_VALUE_BYTES_MAX) return;
  throw new HoldfastError(
    'TooLarge',
    `the lock's value is ${formatBytes(value.length)}, ${formatBytes(LOCK_VALUE_BYTES_MAX)} are allowed`,
    { hint: 'put large data under a key of its own and its name into the lock' },
  );
}

function cancelled(prefix: string): HoldfastError {
  return new HoldfastError('Cancelled', `gave up waiting for the lock ${prefix}`);
}

function placeLost(prefix: string, ticket: Ticket): HoldfastError {
  const reason: unknown = ticket.lost.reason;
  if (reason instanceof HoldfastError && reason.code === 'Unavailable') return reason;
  return new HoldfastError('Conflict', `lost the place in the queue for the lock ${prefix}`, {
    hint: 'ask for the lock again',
    retry: 'now',
    cause: reason,
  });
}
