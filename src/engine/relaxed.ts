/**
 * Relaxed writes: answered once the store's library has them, synced so many milliseconds later at most.
 *
 * WHAT SURVIVES. The end of this process, always. A power cut: all but the last writes, and of those a
 * beginning, as all writes are in one order. What was answered with the default durability is never lost, and
 * takes all relaxed writes before it to the disk.
 *
 * REVISIONS. A lost write's revision was handed out: somebody may have seen it, a replica may have it. So
 * before relaxed writes take revisions, a *ceiling* over them is written and synced. A store that closes well
 * has none. One that opens with a ceiling goes on above it with an empty log, and so whoever watched is
 * told `Compacted` and looks anew, whether anything was lost or not.
 *
 * Backends that can't commit without a sync (LMDB) sync each commit: more than was asked for.
 */
import { HoldfastError } from '../base/errors.ts';
import {
  COMPACT_STEP_BYTES,
  COMPACT_STEP_REVISIONS,
  RELAXED_MS_MAX,
  RELAXED_RETRY_MS,
  RELAXED_REVISIONS,
} from './limits.ts';
import { checkSeal, corrupt, logKey, readU64, seal, writeU64 } from './log.ts';
import { encodeHead, HEAD_KEY, type Head } from './record.ts';
import type { Clock } from '../base/clock.ts';
import type { Backend, Write } from './backend.ts';
import type { WriteDurability } from './engine.ts';

export const CEILING_KEY = Buffer.from('ceiling', 'ascii');
const CEILING_BYTES = 12;

/** @returns the milliseconds, undefined for a write that is synced. @throws InvalidArgument */
export function checkDurability(durability: WriteDurability): number | undefined {
  if (durability === 'commit') return undefined;
  const ms: unknown = durability?.relaxedMs;
  if (typeof ms === 'number' && Number.isInteger(ms) && ms >= 1 && ms <= RELAXED_MS_MAX) return ms;
  throw new HoldfastError(
    'InvalidArgument',
    `the durability ${JSON.stringify(durability)} is neither "commit" nor { relaxedMs } with a ` +
      `whole number from 1 to ${RELAXED_MS_MAX}`,
  );
}

/** Undefined in a store that has none. @throws Corrupt */
export function readCeiling(backend: Backend): number | undefined {
  const record = backend.get('meta', CEILING_KEY);
  if (!record) return undefined;
  return readU64(checkSeal('the ceiling record', CEILING_KEY, record, CEILING_BYTES), 4);
}

function ceilingWrite(revision: number): Write {
  const record = Buffer.alloc(CEILING_BYTES);
  writeU64(record, revision, 4);
  return { table: 'meta', key: CEILING_KEY, value: seal(CEILING_KEY, record) };
}

const NO_CEILING: Write = { table: 'meta', key: CEILING_KEY, value: undefined };

/**
 * At opening, when there is a ceiling: the store goes on above it. The log goes in bounded steps, so that a
 * crash in between leaves a whole store. @returns the head from now on
 */
export async function passCeiling(backend: Backend, found: Head, ceiling: number): Promise<Head> {
  if (ceiling <= found.revision) {
    // A later commit was synced, and with it all relaxed ones.
    await backend.commit([NO_CEILING]);
    return found;
  }
  let head = found;
  while (head.compacted < head.revision) {
    const records = backend.range({
      table: 'log',
      from: logKey(head.compacted + 1),
      before: undefined,
      limit: COMPACT_STEP_REVISIONS,
      bytesMax: COMPACT_STEP_BYTES,
    });
    if (records.length === 0) throw corrupt(`log record ${head.compacted + 1} is missing`);
    const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
    const compacted = head.compacted + records.length;
    head = { ...head, compacted, logBytes: head.logBytes - bytes };
    const removed = records.map(({ key }) => ({ table: 'log', key, value: undefined }) as const);
    await backend.commit([...removed, headWrite(head)]);
  }
  head = { ...head, revision: ceiling, compacted: ceiling };
  await backend.commit([headWrite(head), NO_CEILING]);
  return head;
}

function headWrite(head: Head): Write {
  return { table: 'meta', key: HEAD_KEY, value: encodeHead(head) };
}

export interface Ceiling {
  readonly revision: number;
  readonly write: Write;
}

/** What the writer knows of commits that are not synced yet. */
export class RelaxedWrites {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #due: () => void;
  #ceiling = 0;
  #dueAtMs = Infinity;
  #timer: AbortController | undefined;

  /** @param due called when a sync is due; not before the next turn */
  constructor(backend: Backend, clock: Clock, due: () => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#due = due;
  }

  /** Commits wait for a sync. */
  get pending(): boolean {
    return this.#timer !== undefined;
  }

  /** What has to be written, and synced, before relaxed writes may take revisions up to this one. */
  ceilingFor(revision: number): Ceiling | undefined {
    if (revision <= this.#ceiling) return undefined;
    const ceiling = revision + RELAXED_REVISIONS;
    return { revision: ceiling, write: ceilingWrite(ceiling) };
  }

  /** A commit with this ceiling is on the disk. */
  raised({ revision }: Ceiling): void {
    this.#ceiling = revision;
  }

  /** A commit was not synced, and has to be within so long. */
  wrote(ms: number): void {
    const atMs = this.#clock.monoMs() + ms;
    if (atMs >= this.#dueAtMs) return;
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    this.#dueAtMs = atMs;
    void this.#clock.sleep(ms, timer.signal).then(() => {
      if (!timer.signal.aborted) this.#due();
    });
  }

  /** A commit found no space: those before it still wait, and one of these may be due. */
  putOff(): void {
    if (!this.pending) return;
    this.synced();
    this.wrote(RELAXED_RETRY_MS);
  }

  /** All that was committed so far is on the disk. */
  synced(): void {
    this.#timer?.abort();
    this.#timer = undefined;
    this.#dueAtMs = Infinity;
  }

  /** The last commit of a store that closes; nothing else may be under way. */
  async close(): Promise<void> {
    this.synced();
    if (this.#ceiling > 0) await this.#backend.commit([NO_CEILING]);
  }
}
