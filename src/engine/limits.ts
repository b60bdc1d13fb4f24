import { KiB, MiB } from '../base/bytes.ts';

/** Every bound of the engine, with its unit and its reason. */

/** Longest key in UTF-8 bytes. LMDB's own bound with 4 KiB pages is 1978; this leaves room for index prefixes. */
export const KEY_BYTES_MAX = 1024;
/** Largest value. etcd refuses requests over 1.5 MiB, so what is stored here can be mirrored there. */
export const VALUE_BYTES_MAX = MiB;
/** Operations, and conditions, of one transaction. A scan of a large host fits (a device is one op). */
export const TXN_OPS_MAX = 1024;
/** Keys and values of one transaction. It is one log record, which is read whole. */
export const TXN_BYTES_MAX = 8 * MiB;
/** Keys that the prefixes and ranges of one transaction meet, together: its turn on the main loop stays a few ms. */
export const TXN_RANGE_KEYS_MAX = TXN_OPS_MAX;
/** Values of those keys: they are in memory at once, read and answered. */
export const TXN_RANGE_BYTES_MAX = 2 * TXN_BYTES_MAX;
/** What one log record holds of the values before. Beyond it a change is logged without: reads before it are `Compacted`. */
export const PREVIOUS_BYTES_MAX = TXN_BYTES_MAX;

/** Operations of one group commit: ~5 us each on the main loop, so a batch holds it for 1 or 2 ms. */
export const BATCH_OPS_MAX = 256;
/** Time that applying takes before the loop gets its turn: timers, requests, and the answer of the commit under way. */
export const FILL_MS_MAX = 0.5;
/** A commit that took longer is the disk's: then the more writes share a sync the better. See writer.ts. */
export const QUICK_COMMIT_MS = 4;
/** Operations that are worth a commit of their own when those are quick. */
export const QUICK_OPS_MIN = 16;
/** Bytes of one group commit: a slow disk (20 MB/s) syncs it in 50 ms. A single larger transaction goes alone. */
export const BATCH_BYTES_MAX = MiB;
/** Bytes of writes that wait for their commit. Beyond it a write is refused rather than kept. */
export const QUEUE_BYTES_MAX = 64 * MiB;
/** Records that were written last, kept in memory for the puts that go over them: see recent.ts. */
export const RECENT_BYTES_MAX = 4 * MiB;

/** Revisions kept in the change log: a day at one change a second. An older reader compares instead. */
export const LOG_REVISIONS_MAX = 100_000;
/** Bytes kept in the change log, so that large values cannot fill an edge host's disk. */
export const LOG_BYTES_MAX = 64 * MiB;
/** History kept when nobody says how much: a reader that was away over night goes on from the log. */
export const HISTORY_MS_DEFAULT = 24 * 3600 * 1000;
/** Marks of its age that the log gets in the time of a history: one each 15 minutes of a day, so ages are exact to 1 %. */
export const HISTORY_MARKS = 96;
/** Revisions dropped with one commit: twice what a batch adds, so compaction always gains on the writers. */
export const COMPACT_STEP_REVISIONS = 2 * BATCH_OPS_MAX;
/** Log bytes dropped with one commit (at least one record, whatever its size). */
export const COMPACT_STEP_BYTES = 4 * MiB;

/** A relaxed write waits so long for its sync at most: who can wait longer has no use for a store. */
export const RELAXED_MS_MAX = 60_000;
/** Relaxed writes are synced so much later when a commit found no space: a full disk is not asked in a loop. */
export const RELAXED_RETRY_MS = 1_000;
/** Revisions that relaxed writes may take for one synced commit of their ceiling. */
export const RELAXED_REVISIONS = 10_000;
/** Room kept for deletes on a full disk: as much as the store takes, within these. See reserve.ts. */
export const RESERVE_BYTES_FIRST = MiB;
/** SQLite's WAL when it is folded (CHECKPOINT_BYTES in sqlite.ts), all of it pages that the file lacks. */
export const RESERVE_BYTES_MAX = 16 * MiB;
/** Less than this is no reserve: a lone delete takes ~20 KiB of WAL; LMDB is asked for ~250 KiB, to be safe. */
export const RESERVE_BYTES_MIN = 512 * KiB;
/** The part of a small file system that a reserve may take: one in this many. */
export const RESERVE_FILE_SYSTEM_SHARE = 8;
/** Bytes written between two looks at whether the reserve is large enough. */
export const RESERVE_LOOK_BYTES = MiB;
/** On a full disk folding the WAL is tried again after this when it failed: it reads all of it, and writes some. */
export const FOLD_RETRY_MS = 5_000;

/** Shortest and longest lease. Below a second a stalled disk would end it; a restart renews it, so longer ones hardly end. */
export const LEASE_TTL_SECONDS_MIN = 1;
export const LEASE_TTL_SECONDS_MAX = 7 * 24 * 3600;
/** Leases at a time: they are looked through at each expiry (~10 us per 1,000) and read when the store opens. */
export const LEASES_MAX = 10_000;
/** Keys under one lease: they end in one revision, so as many as a transaction has. */
export const LEASE_KEYS_MAX = TXN_OPS_MAX;
/** How long we have to have run on time after a lease was seen due, before it ends: see STALLS in lease.ts. */
export const LEASE_CONFIRM_MS = 500;
/** Ended leases whose keys could not be deleted are tried again after this: a full disk is not asked in a loop. */
export const LEASE_RETRY_MS = 5_000;
/** Leases ended with one round of commits, so that other writers get their turn between. */
export const LEASE_ENDS_AT_ONCE = 64;

/** What a lock says about its holder: each waiter reads all tickets, twice. */
export const LOCK_VALUE_BYTES_MAX = 4 * KiB;

/** Change sets buffered for one watcher; a slower one is caught up from the log. */
export const WATCH_BUFFER_SETS_MAX = 256;
/** Bytes buffered for one watcher. Values are shared between watchers, not copied. */
export const WATCH_BUFFER_BYTES_MAX = 256 * KiB;
/** Revisions, and bytes, that a lagging watcher reads from the log before the loop gets its turn. */
export const WATCH_READ_REVISIONS = 256;
export const WATCH_READ_BYTES = MiB;
/** Shortest time between the progress items of an idle watch. etcd's own bound: a busy timer is not idle. */
export const WATCH_PROGRESS_MS_MIN = 100;
/** Revisions, and bytes, of the log that a read at an older revision takes before the loop gets its turn: more than a batch adds. */
export const HISTORY_READ_REVISIONS = 4 * BATCH_OPS_MAX;
export const HISTORY_READ_BYTES = 4 * MiB;
/** Most revisions `changes` returns, and the bytes after which it stops (never before the first). */
export const CHANGES_REVISIONS_MAX = 10_000;
export const CHANGES_BYTES_MAX = 16 * MiB;
