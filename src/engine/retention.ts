/**
 * How much of the change log is kept, and for whom.
 *
 * AGE. Revisions are dropped when they are older than the history asked for. Their age is told by *marks*: a
 * record (revision, running time) that goes with a commit, at most HISTORY_MARKS in the time of a history. All
 * revisions up to a mark's are at least as old as the mark. A commit marks the one before it, whose time is known
 * while the store is open: so a burst before a long silence is as old as the silence. Running time is what this store was open, summed
 * over its life: a date that is set, or a host without a clock, ages nothing. The price: the time
 * the agent was down, or idle before a restart, doesn't count, and the log is kept that much longer.
 *
 * HOLDS. Who reads the log from where it stopped (a replica) holds what comes after its position. Age, and a
 * compaction that was asked for, stop there; the limits of the log as a whole (LOG_REVISIONS_MAX, LOG_BYTES_MAX)
 * and a full disk do not: whoever was passed is told `Compacted` and compares. Holds are in memory: a reader
 * says at each start where it is, and one that is expected holds all that is there until it has.
 */
import { HoldfastError } from '../base/errors.ts';
import { corrupt, checkSeal, readU64, seal, writeU64 } from './log.ts';
import { HISTORY_MARKS, LOG_BYTES_MAX, LOG_REVISIONS_MAX } from './limits.ts';
import type { Clock } from '../base/clock.ts';
import type { Backend, Write } from './backend.ts';
import type { LogHold } from './engine.ts';
import type { Head } from './record.ts';

const MARK = Buffer.from('mark:', 'ascii');
/** `;` follows `:`. */
const MARKS_END = Buffer.from('mark;', 'ascii');
const MARK_BYTES = 20;

export interface Mark {
  readonly revision: number;
  /** Running time of the store when the revision was written. */
  readonly runMs: number;
  /** Running time when the mark was: a restart goes on from there. */
  readonly madeMs: number;
}

/** What a commit writes about marks, and how things stand when it is durable. */
export interface MarkStep {
  readonly writes: readonly Write[];
  readonly marks: readonly Mark[];
}

/** What may go. */
export interface Bounds {
  /** Drop up to this revision. */
  readonly revision: number;
  /** Drop more while the log takes more than this. */
  readonly bytes: number;
}

export interface RetentionParts {
  /** As found at opening, oldest first. */
  readonly marks: readonly Mark[];
  /** The last one at opening. */
  readonly revision: number;
  readonly clock: Clock;
  readonly historyMs: number;
  /** Who will hold the log, and hasn't said yet from where. */
  readonly holders: readonly string[];
}

export class Retention {
  readonly #clock: Clock;
  readonly #historyMs: number;
  readonly #holds: Map<string, number>;
  #marks: readonly Mark[];
  /** The last commit; what is not known of it from before the opening counts as new. */
  #last: Omit<Mark, 'madeMs'>;
  /** Running time at the clock's zero. */
  readonly #runBaseMs: number;

  constructor({ marks, revision, clock, historyMs, holders }: RetentionParts) {
    this.#clock = clock;
    this.#historyMs = historyMs;
    this.#holds = new Map(holders.map((name) => [name, 0]));
    this.#marks = marks;
    this.#runBaseMs = (marks.at(-1)?.madeMs ?? 0) - clock.monoMs();
    this.#last = { revision, runMs: this.#runMs() };
  }

  /** @param revision undefined lets go */
  hold(name: string, revision: number | undefined): void {
    if (revision === undefined) this.#holds.delete(name);
    else this.#holds.set(name, revision);
  }

  /** The one that is furthest behind first. */
  holds(): LogHold[] {
    return [...this.#holds]
      .map(([name, revision]) => ({ name, revision }))
      .toSorted((a, b) => a.revision - b.revision);
  }

  /** Who keeps `revision` from being dropped; undefined: nobody. */
  heldBy(revision: number): LogHold | undefined {
    const [slowest] = this.holds();
    return slowest && slowest.revision < revision ? slowest : undefined;
  }

  /** All up to here is older than the history. */
  get agedRevision(): number {
    const now = this.#runMs();
    const all = [...this.#marks, this.#last];
    return all.findLast(({ runMs }) => now - runMs >= this.#historyMs)?.revision ?? 0;
  }

  /** How old the log's first record is at least; undefined when the log is empty. */
  oldestAgeMs({ compacted, revision }: Pick<Head, 'compacted' | 'revision'>): number | undefined {
    if (compacted === revision) return undefined;
    const first = this.#marks.find((mark) => mark.revision > compacted) ?? this.#last;
    return this.#runMs() - first.runMs;
  }

  /** The newest revision up to `revision` that nobody holds. */
  free(revision: number): number {
    return this.heldBy(revision)?.revision ?? revision;
  }

  /** @param asked to be dropped whoever holds it */
  bounds({ revision }: Pick<Head, 'revision'>, asked: number): Bounds {
    const aged = this.free(this.agedRevision);
    return {
      revision: Math.max(revision - LOG_REVISIONS_MAX, asked, aged),
      bytes: LOG_BYTES_MAX,
    };
  }

  /** For a commit that takes a revision; undefined when the last mark is young enough. */
  mark(compacted: number): MarkStep | undefined {
    const now = this.#runMs();
    const mark = { ...this.#last, madeMs: now };
    const { revision, madeMs } = this.#marks.at(-1) ?? { revision: 0, madeMs: -Infinity };
    const isDue = now - madeMs >= this.#historyMs / HISTORY_MARKS;
    if (!isDue || mark.revision === revision) return undefined;
    // Of those that are too old one says what may go, and one how old the log is.
    const expired = this.#marks.filter((other) => now - other.runMs >= this.#historyMs);
    const first = this.#marks.find((other) => other.revision > compacted);
    const dropped = expired.slice(0, -1).filter((other) => other !== first);
    const kept = this.#marks.filter((other) => !dropped.includes(other));
    const key = markKey(mark.revision);
    const writes: Write[] = dropped.map((other) => ({
      table: 'meta',
      key: markKey(other.revision),
      value: undefined,
    }));
    return {
      writes: [...writes, { table: 'meta', key, value: encodeMark(key, mark) }],
      marks: [...kept, mark],
    };
  }

  /** The commit with this step is durable, and `revision` its last one. */
  committed(revision: number, step: MarkStep | undefined): void {
    if (revision > this.#last.revision) this.#last = { revision, runMs: this.#runMs() };
    if (step) this.#marks = step.marks;
  }

  /** In whole milliseconds, as it is written. */
  #runMs(): number {
    return Math.round(this.#runBaseMs + this.#clock.monoMs());
  }
}

/** @throws InvalidArgument */
export function checkHold(name: string, revision: number | undefined): void {
  if (revision === undefined || (Number.isSafeInteger(revision) && revision >= 0)) return;
  throw new HoldfastError(
    'InvalidArgument',
    `${name} cannot hold the log after revision ${String(revision)}`,
  );
}

/** Oldest first. @throws Corrupt */
export function readMarks(backend: Backend): Mark[] {
  const entries = backend.range({
    table: 'meta',
    from: MARK,
    before: MARKS_END,
    limit: Number.MAX_SAFE_INTEGER,
    bytesMax: Infinity,
  });
  return entries.map(({ key, value }) => {
    if (key.length !== MARK.length + 8) throw corrupt('a mark of the log has no revision');
    const record = checkSeal('a mark of the log', key, value, MARK_BYTES);
    const revision = readU64(Buffer.from(key), MARK.length);
    return { revision, runMs: readU64(record, 4), madeMs: readU64(record, 12) };
  });
}

function markKey(revision: number): Buffer {
  const key = Buffer.alloc(MARK.length + 8);
  MARK.copy(key);
  writeU64(key, revision, MARK.length);
  return key;
}

function encodeMark(key: Buffer, { runMs, madeMs }: Mark): Buffer {
  const record = Buffer.alloc(MARK_BYTES);
  writeU64(record, runMs, 4);
  writeU64(record, madeMs, 12);
  return seal(key, record);
}
