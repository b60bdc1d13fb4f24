/** The narrow waist between the replicator and a remote store. */

/** Written on both sides; the two compared tell how to go on after any crash or restore. */
export interface Checkpoint {
  /** The engine's incarnation the cursor belongs to. */
  readonly incarnation: string;
  /** Every change at or below this revision is at the target; 0 = a comparison isn't finished. */
  readonly revision: number;
  /** Minted by each comparison: a checkpoint of another session isn't ours to trust. */
  readonly session: string;
}

/** Keys are relative to the replica's own subtree (`/<root>/hosts/<replicaId>/`). */
export type Mutation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string };

export interface BatchLimits {
  readonly entries: number;
  /** Keys and values together; one single mutation may be larger. */
  readonly bytes: number;
}

export interface RemoteEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface ReplicaTarget {
  /** Stable name of the target: key of its cursor. */
  readonly id: string;
  readonly limits: BatchLimits;
  /** Also remembers the checkpoint's remote revision, which `apply` compares (fencing). @throws NotReachable */
  readCheckpoint(signal: AbortSignal): Promise<Checkpoint | undefined>;
  /**
   * All of `mutations` and the checkpoint in one remote transaction; idempotent.
   * @throws Conflict when somebody else wrote the checkpoint since we read it; NotReachable; TooLarge
   */
  apply(mutations: readonly Mutation[], checkpoint: Checkpoint, signal: AbortSignal): Promise<void>;
  /** Everything under the replica's subtree but the checkpoint, in pages, key order. */
  list(signal: AbortSignal): AsyncIterable<readonly RemoteEntry[]>;
  close(): Promise<void>;
}

/**
 * `offline`: the target doesn't answer. `refused`: it answers, and says no (credentials, quota, another
 * writer); a person has to look. `behind`: connected, with more to send than the last few seconds' work.
 */
export type SyncState =
  | 'connecting'
  | 'comparing'
  | 'current'
  | 'behind'
  | 'offline'
  | 'refused'
  | 'stopped';

/** What `holdfast sync status`, MQTT and /metrics show for one target. */
export interface SyncStatus {
  readonly target: string;
  readonly type: string;
  readonly endpoints: readonly string[];
  readonly state: SyncState;
  readonly cursor: number;
  readonly localRevision: number;
  /** Revisions not yet acknowledged by the target. */
  readonly lagRevisions: number;
  /** ISO 8601 of the last acknowledged batch. */
  readonly lastAckAt?: string;
  readonly lastError?: { readonly code: string; readonly message: string; readonly at: string };
  /** Entries the target refused for good; parked, so that they don't block the rest. */
  readonly parked: number;
}
