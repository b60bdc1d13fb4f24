import type { Checkpoint } from './target.ts';

/** What this host knows when it meets a target. */
export interface LocalSide {
  /** The engine's. */
  readonly incarnation: string;
  readonly revision: number;
  readonly compactedRevision: number;
  readonly cursor?: Cursor | undefined;
  /** The highest revision sent in this session by this process; undefined = it has sent nothing yet. */
  readonly attempted?: number | undefined;
}

/** The local half of the checkpoint, at `sync/cursor/<target>`. */
export interface Cursor extends Checkpoint {
  /** Sessions that this store has minted, newest first; the first is `session`. */
  readonly sessions: readonly string[];
}

export type Assessment =
  | { readonly verdict: 'resume'; readonly from: number }
  | { readonly verdict: 'compare'; readonly reason: CompareReason }
  | { readonly verdict: 'refuse'; readonly reason: string };

/** Why the log can't be trusted to tell all that the target lacks. */
export type CompareReason =
  | 'first contact'
  | 'the target lost our checkpoint'
  | 'no cursor on this host'
  | 'the local store is another incarnation'
  | 'the target went back to an earlier session'
  | 'the last comparison was not finished'
  | 'the local store went back'
  | 'the log was compacted beyond the checkpoint'
  | 'the log was compacted while we read it';

/**
 * Resume from the target's checkpoint, compare all keys, or refuse. The target's checkpoint alone says
 * what the target has; the local cursor says which sessions were ours. A session that this very store
 * (same incarnation) never minted is another writer, and overwriting it would start a fight.
 */
export function assess(local: LocalSide, remote: Checkpoint | undefined): Assessment {
  const { cursor } = local;
  if (!remote) return compare(cursor ? 'the target lost our checkpoint' : 'first contact');
  if (!cursor) return compare('no cursor on this host');
  if (cursor.incarnation !== local.incarnation) {
    return compare('the local store is another incarnation');
  }
  if (!cursor.sessions.includes(remote.session)) {
    return refuse(`its checkpoint is of session ${remote.session}, which this host never began`);
  }
  if (remote.session !== cursor.session)
    return compare('the target went back to an earlier session');
  if (remote.incarnation !== local.incarnation) {
    return refuse(`its checkpoint is of store ${remote.incarnation}, this is ${local.incarnation}`);
  }
  if (local.attempted !== undefined && remote.revision > local.attempted) {
    return refuse(`its checkpoint is at ${remote.revision}, we sent up to ${local.attempted} only`);
  }
  if (remote.revision === 0) return compare('the last comparison was not finished');
  if (remote.revision > local.revision) return compare('the local store went back');
  if (remote.revision < local.compactedRevision) {
    return compare('the log was compacted beyond the checkpoint');
  }
  return { verdict: 'resume', from: remote.revision };
}

function compare(reason: CompareReason): Assessment {
  return { verdict: 'compare', reason };
}

function refuse(reason: string): Assessment {
  return { verdict: 'refuse', reason };
}
