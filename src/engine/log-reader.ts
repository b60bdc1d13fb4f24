/** The log read a step at a time, each step of one commit. */
import { HoldfastError } from '../base/errors.ts';
import { corrupt, decodeLogRecord, logKey, type LoggedSet } from './log.ts';
import { readStoredHead } from './recover.ts';
import type { Backend } from './backend.ts';
import type { StoredHead } from './record.ts';

export interface LogStep {
  /** The last revision not wanted. */
  readonly after: number;
  /** Most revisions. */
  readonly limit: number;
  /** Bytes after which it stops, never before the first. */
  readonly bytesMax: number;
}

/** Empty at the end of the log. @throws Compacted, Corrupt */
export function readLog(backend: Backend, step: LogStep): LoggedSet[] {
  return backend.read(() => readLogUnder(backend, readStoredHead(backend), step));
}

/** The same within a `read` that has the head already. */
export function readLogUnder(backend: Backend, head: StoredHead, step: LogStep): LoggedSet[] {
  const { after, limit, bytesMax } = step;
  const { revision, compacted } = head;
  if (after < compacted) {
    throw new HoldfastError(
      'Compacted',
      `revision ${after + 1} is gone from the change log, it begins at ${compacted + 1}`,
      { hint: 'list what is there now, then go on from the revision of that list' },
    );
  }
  if (after >= revision) return [];
  const [from, before] = [logKey(after + 1), logKey(revision + 1)];
  const entries = backend.range({ table: 'log', from, before, limit, bytesMax });
  const sets = entries.map(({ key, value }) => decodeLogRecord(key, value));
  for (const [i, set] of sets.entries()) {
    if (set.revision !== after + 1 + i) throw corrupt(`log record ${after + 1 + i} is missing`);
  }
  if (sets.length === 0 && limit > 0) throw corrupt(`log record ${after + 1} is missing`);
  return sets;
}
