/**
 * The engine: the local truth of one host, an embedded key-value store.
 *
 * Nouns: a *key* with its *value* and revisions; a *transaction* (conditions, then operations) that takes
 * one *revision*; a *lease*, which keys may end with; the *change log* of all revisions since the last
 * compaction; a *watch* that reads it and goes on with what is committed. A *backend* (SQLite, LMDB,
 * memory) is three ordered tables and one durable transaction; everything else is written once above it:
 *
 *   engine.ts        the contract            log.ts      the format, first as prose
 *   local-engine.ts  the contract kept       record.ts   records of kv and meta
 *   writer.ts        queue, group commit     recover.ts  what is checked at opening
 *   batch.ts         transactions applied    compact.ts  the log's low end
 *   watch.ts         watchers                limits.ts   every bound, with its reason
 *   store.ts         libkv's contract        local-store.ts  that contract over the engine
 *   entry-lease.ts   its times to live       store-lock.ts   its locks
 *   lease.ts         leases and their time   lease-*.ts  their records, their part of a batch
 *   retention.ts     what of the log is kept, and for whom
 *   reserve.ts       room for deletes on a full disk, in a file of kept-room.ts
 *   backends/open-files.ts  whether the files are still those that were opened
 *   lock.ts          locks, over tickets     election.ts leaders, over locks (both use only the contract)
 *   check.ts         every invariant         offline.ts  a store looked into without its engine
 *   backup.ts dump.ts  out and back in       inspect.ts  those, in a process of their own
 *
 * Invariants: a value and its log entry are one backend transaction. A write is answered after the sync,
 * and no read or watch shows it earlier. A revision is never used twice. Idle means idle: reads and open
 * watches write nothing to the disk.
 *
 * Caveats: one process opens a store at a time (the agent holds a lock on the state folder). Commits run
 * on a thread of their own, whose code Node 20 loads from dist/ only. LMDB itself has no checksums; our
 * records have, its own pages have not: opening walks them (3 us a page), so that a damaged file is refused
 * rather than mapped. More in docs/engine.md.
 */
import { HoldfastError } from '../base/errors.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { LocalEngine } from './local-engine.ts';
import { OpenFiles } from './backends/open-files.ts';
import { initialWrites, recover } from './recover.ts';
import { Reserve } from './reserve.ts';
import type { Backend, BackendOptions, Durability } from './backend.ts';
import type { Engine, WriteDurability } from './engine.ts';

export type {
  Change,
  ChangeSet,
  CompactOptions,
  Compaction,
  Condition,
  Engine,
  EngineStats,
  GetOptions,
  KeyValue,
  Leases,
  LeaseStatus,
  ListOptions,
  ListResult,
  LogHold,
  Op,
  PutOptions,
  Span,
  Watch,
  TxnOptions,
  WatchOptions,
  WriteDurability,
  WriteOptions,
} from './engine.ts';
export type * from './transaction.ts';
export {
  CHANGES_REVISIONS_MAX,
  KEY_BYTES_MAX,
  LEASE_KEYS_MAX,
  LEASE_TTL_SECONDS_MAX,
  LEASES_MAX,
  RELAXED_MS_MAX,
  TXN_OPS_MAX,
  TXN_RANGE_BYTES_MAX,
  TXN_RANGE_KEYS_MAX,
  VALUE_BYTES_MAX,
  WATCH_PROGRESS_MS_MIN,
} from './limits.ts';
export { acquireLock, lockHolder, lockQueue, type HeldLock, type LockOptions } from './lock.ts';
export {
  campaign,
  lead,
  leaderOf,
  observe,
  type ElectionOptions,
  type Leader,
  type NoLeader,
} from './election.ts';
export type { LockEngine } from './ticket.ts';
export { inspectStore, type InspectOptions } from './inspect.ts';
export type { BackupSummary } from './backup.ts';
export type { CheckReport } from './check.ts';
export type { DumpLine } from './dump.ts';
export { diskRoom, KeptRoom } from './kept-room.ts';
export { normalizeKey, normalizePrefix } from './key.ts';
export { LocalStore } from './local-store.ts';
export type * from './store.ts';

/** `memory` is for tests: it is gone with the process. */
export const BACKENDS = ['sqlite', 'lmdb', 'memory'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface OpenOptions {
  readonly backend: BackendName;
  /** The store's own folder; made (0700) when missing. */
  readonly path: string;
  /** Of writes that don't say; default `commit`. */
  readonly durability?: WriteDurability | undefined;
  /** Only for the power-cut control, which has to lose writes: no sync at all. */
  readonly unsafeDurability?: Durability | undefined;
  /** How long the change log is kept, in running time of the store; default a day. */
  readonly historyMs?: number | undefined;
  /** Readers that will `hold` the log: until each has said where it is, nothing that is there is too old. */
  readonly holders?: readonly string[] | undefined;
  /** What leases and ages go by; only tests have another one. */
  readonly clock?: Clock | undefined;
}

/**
 * Opens the store in `path`, or makes it. Only the backend in use is imported.
 * @throws StateMismatch (another backend's store, not ours, a newer format), Corrupt (truncated, damaged),
 *   PermissionDenied, NoSpace; the folder is unchanged then
 */
export async function openEngine(options: OpenOptions): Promise<Engine> {
  const backend = await openBackend(options.backend, {
    path: options.path,
    durability: options.unsafeDurability ?? 'commit',
    initial: initialWrites,
    verify: recover,
  });
  const { path, clock = systemClock, durability, historyMs, holders } = options;
  const parts = { clock, durability, historyMs, holders };
  if (options.backend === 'memory') return LocalEngine.over(backend, path, parts);
  const files = new OpenFiles(path, options.backend);
  const reserve = await Reserve.open(path, backend, clock);
  return LocalEngine.over(backend, path, { ...parts, files, reserve });
}

async function openBackend(name: BackendName, options: BackendOptions): Promise<Backend> {
  switch (name) {
    case 'sqlite':
      return (await import('./backends/sqlite.ts')).openSqlite(options);
    case 'lmdb':
      return (await import('./backends/lmdb.ts')).openLmdb(options);
    case 'memory':
      return (await import('./backends/memory.ts')).openMemory(options.initial());
    default:
      throw new HoldfastError('InvalidArgument', `no engine backend is called ${String(name)}`, {
        hint: `use one of ${BACKENDS.join(', ')}`,
      });
  }
}
