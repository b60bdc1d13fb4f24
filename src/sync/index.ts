/**
 * The engine's change log -> remote targets.
 *
 * - `ReplicaTarget`: one remote store, seen as "read the checkpoint, apply a batch with a checkpoint, list".
 * - `Checkpoint` / `Cursor`: how far a target is, written with each batch there and now and then here.
 * - `assess`: the two compared say resume, compare or refuse; a pure table.
 * - `Outbox`: the log from there on, last write per key, cut into batches; the log is the only queue.
 * - `Replicator`: the service that does it, one per target: connect, assess, compare if need be, follow.
 *
 * Invariants:
 * - What a checkpoint claims is there: it travels in the transaction of the data it speaks of. A crash
 *   may deliver something twice, never leave something out.
 * - A session is durable here before the target sees it; a session that this store never began belongs
 *   to another writer and is not overwritten.
 * - Nothing here is on the path of a local call, and memory is bounded whatever the target does.
 * - An idle replicator writes nothing, here or there.
 *
 * Caveats: values that others change under our subtree are noticed by a comparison only. A store that was
 * copied back under the same incarnation and grew past the target's revision unseen is not noticed
 * (a proper restore mints a new incarnation).
 */
export {
  type Checkpoint,
  type Mutation,
  type RemoteEntry,
  type ReplicaTarget,
  type SyncState,
  type SyncStatus,
} from './target.ts';
export { assess, type Assessment, type Cursor, type LocalSide } from './assess.ts';
export { DIRECTIONS, isReplicated, type Direction } from './directions.ts';
export { Replicator, type ReplicatorOptions, type SyncStateChange } from './replicator.ts';
export { logHolder } from './progress.ts';
export { openTarget, type Place, type TargetConfig } from './open-target.ts';
