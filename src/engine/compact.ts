/**
 * Compaction rides on commits: a batch that is written anyway drops a bounded number of old log
 * records with it. So it needs no timer (idle writes nothing), no commit of its own while writers are
 * busy, and can't be starved: a step drops more than a batch adds.
 */
import { corrupt, logKey, readU64 } from './log.ts';
import { COMPACT_STEP_BYTES, COMPACT_STEP_REVISIONS } from './limits.ts';
import type { Backend, Write } from './backend.ts';
import type { Head } from './record.ts';
import type { Bounds } from './retention.ts';

export interface CompactionStep {
  readonly writes: readonly Write[];
  readonly head: Head;
}

/**
 * The next records to drop, or undefined when all is within its bounds.
 * @param durableRevision what is in the backend: the records of the running batch are not there yet
 */
export function compactionStep(
  backend: Backend,
  head: Head,
  bounds: Bounds,
  durableRevision: number,
): CompactionStep | undefined {
  const wanted = bounds.revision;
  const byBytes = head.logBytes > bounds.bytes;
  const until = Math.min(byBytes ? durableRevision : wanted, durableRevision);
  if (until <= head.compacted) return undefined;

  const entries = backend.range({
    table: 'log',
    from: logKey(head.compacted + 1),
    before: logKey(until + 1),
    limit: COMPACT_STEP_REVISIONS,
    bytesMax: COMPACT_STEP_BYTES,
  });
  if (entries.length === 0) throw corrupt(`log record ${head.compacted + 1} is missing`);
  const writes: Write[] = [];
  let { compacted, logBytes } = head;
  for (const { key, value } of entries) {
    if (compacted >= wanted && logBytes <= bounds.bytes) break;
    compacted = readU64(Buffer.from(key), 0);
    logBytes -= value.length;
    writes.push({ table: 'log', key, value: undefined });
  }
  return { writes, head: { ...head, compacted, logBytes } };
}
