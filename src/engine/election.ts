/**
 * Elections: one leader at a time, known to everybody. A thin layer on the lock: to campaign is to wait
 * for it with a value that says who one is, to lead is to hold it, to resign is to unlock. What the story
 * of lock.ts says of order, loss and the fence holds here too.
 */
import { inOrder, type LockEngine } from './ticket.ts';
import { acquireLock, lockHolder, lockName, type HeldLock, type LockOptions } from './lock.ts';
import { HoldfastError } from '../base/errors.ts';
import type { KeyValue } from './engine.ts';

export interface Leader {
  /** At which this became so. */
  readonly revision: number;
  readonly value: Uint8Array;
  /** The leader's fence: the same as long as it is the same leader. */
  readonly fence: number;
}

/** Nobody leads as of `revision`. */
export interface NoLeader {
  readonly revision: number;
  readonly value: undefined;
}

export type ElectionOptions = Omit<LockOptions, 'value'>;

/** Waits to be the leader. `unlock` resigns, `setValue` proclaims another value. @throws as acquireLock */
export function campaign(
  engine: LockEngine,
  prefix: string,
  value: Uint8Array,
  options: ElectionOptions = {},
): Promise<HeldLock> {
  return acquireLock(engine, prefix, { ...options, value });
}

/**
 * Campaigns, does `work` while it leads, and campaigns again when leadership was lost, until the signal
 * aborts or `work` comes to its end by itself. It resigns in any case.
 * @param work ends soon after `lost` aborts, which the signal does too; what it throws then is passed over
 * @throws what `work` or the engine throw otherwise
 */
export async function lead(
  engine: LockEngine,
  prefix: string,
  value: Uint8Array,
  options: ElectionOptions & { readonly signal: AbortSignal },
  work: (leadership: HeldLock, lost: AbortSignal) => Promise<void>,
): Promise<void> {
  const { signal } = options;
  while (!signal.aborted) {
    const leadership = await elected(engine, prefix, value, options);
    if (!leadership) continue;
    const over = new AbortController();
    const onAbort = (): void => over.abort();
    signal.addEventListener('abort', onAbort);
    leadership.lost.addEventListener('abort', onAbort);
    if (signal.aborted || leadership.lost.aborted) over.abort();
    try {
      await work(leadership, over.signal);
      if (!over.signal.aborted) return;
    } catch (thrown) {
      if (!over.signal.aborted) throw thrown;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await leadership.unlock();
    }
  }
}

/** Undefined when the signal aborted, or the place in the queue was lost. */
async function elected(
  ...[engine, prefix, value, options]: Parameters<typeof campaign>
): Promise<HeldLock | undefined> {
  try {
    return await campaign(engine, prefix, value, options);
  } catch (thrown) {
    const again = thrown instanceof HoldfastError && /^(Cancelled|Conflict)$/.test(thrown.code);
    if (again) return undefined;
    throw thrown;
  }
}

/** Who leads now. */
export async function leaderOf(engine: LockEngine, prefix: string): Promise<Leader | undefined> {
  const holder = await lockHolder(engine, prefix);
  return holder && leaderFrom(holder, holder.modRevision);
}

/**
 * Who leads now, first, then each change of the leader or of its value, in order, none missed: until the
 * signal aborts.
 * @throws Compacted for a reader too slow for the change log; to observe anew gives who leads then
 */
export async function* observe(
  engine: LockEngine,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<Leader | NoLeader> {
  const name = lockName(prefix);
  const { kvs, revision } = await engine.list(name);
  const tickets = new Map(kvs.map((kv) => [kv.key, kv]));
  let last = inOrder(name, tickets.values())[0];
  yield last ? leaderFrom(last, last.modRevision) : { revision, value: undefined };
  for await (const set of engine.watch(name, { from: revision + 1, signal })) {
    for (const { type, kv } of set.changes) {
      if (type === 'put') tickets.set(kv.key, kv);
      else tickets.delete(kv.key);
    }
    const now = inOrder(name, tickets.values())[0];
    if (now?.key === last?.key && now?.modRevision === last?.modRevision) continue;
    last = now;
    yield now ? leaderFrom(now, set.revision) : { revision: set.revision, value: undefined };
  }
}

function leaderFrom({ value, createRevision }: KeyValue, revision: number): Leader {
  return { revision, value, fence: createRevision };
}
