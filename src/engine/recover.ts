/** RECOVERY of log.ts: what is looked at when a store opens, and what a new one starts with. */
import { newId } from '../base/ids.ts';
import { readGrants } from './lease-record.ts';
import { readCeiling } from './relaxed.ts';
import { corrupt, decodeLogRecord, logKey } from './log.ts';
import { readMarks, type Mark } from './retention.ts';
import {
  decodeHead,
  decodeIdentity,
  EMPTY_HEAD,
  encodeHead,
  encodeIdentity,
  formatOf,
  HEAD_KEY,
  IDENTITY_KEY,
} from './record.ts';
import type { Backend, Write } from './backend.ts';
import type { Head, StoredHead } from './record.ts';

export function initialWrites(): readonly Write[] {
  return [
    { table: 'meta', key: IDENTITY_KEY, value: encodeIdentity(newId()) },
    { table: 'meta', key: HEAD_KEY, value: encodeHead(EMPTY_HEAD) },
  ];
}

export interface Recovered {
  readonly incarnation: string;
  readonly head: Head;
  /** ttlSeconds of each lease. */
  readonly leases: ReadonlyMap<number, number>;
  /** Above all revisions that were handed out, in a store that was not closed after relaxed writes. */
  readonly ceiling: number | undefined;
  /** When revisions were written; oldest first. */
  readonly marks: readonly Mark[];
}

/** Reads only. @throws Corrupt, StateMismatch */
export function recover(backend: Backend): Recovered {
  const incarnation = decodeIdentity(backend.get('meta', IDENTITY_KEY));
  const head = readHead(backend);
  if (head.compacted > head.revision) {
    throw corrupt(`compacted up to ${head.compacted}, but the last revision is ${head.revision}`);
  }
  if (head.revision > head.compacted) {
    readLogRecord(backend, head.compacted + 1);
    readLogRecord(backend, head.revision);
  }
  const beyond = backend.range({
    table: 'log',
    from: logKey(head.revision + 1),
    before: undefined,
    limit: 1,
    bytesMax: 0,
  });
  if (beyond.length > 0) throw corrupt(`its log goes on after the last revision ${head.revision}`);
  const leases = readGrants(backend);
  const ceiling = readCeiling(backend);
  return { incarnation, head, leases, ceiling, marks: readMarks(backend) };
}

/** @throws Corrupt */
export function readHead(backend: Backend): Head {
  const identity = backend.get('meta', IDENTITY_KEY);
  if (!identity) throw corrupt('it has no identity record');
  return { ...readStoredHead(backend), format: formatOf(identity) };
}

/** @throws Corrupt */
export function readStoredHead(backend: Backend): StoredHead {
  return decodeHead(backend.get('meta', HEAD_KEY));
}

function readLogRecord(backend: Backend, revision: number): void {
  const key = logKey(revision);
  const value = backend.get('log', key);
  if (!value) throw corrupt(`log record ${revision} is missing`);
  decodeLogRecord(key, value);
}
