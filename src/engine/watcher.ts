/** One who watches: what they want, where they stand, and what waits for them. */
import { WATCH_BUFFER_BYTES_MAX, WATCH_BUFFER_SETS_MAX } from './limits.ts';
import { shownChange } from './record.ts';
import type { Clock } from '../base/clock.ts';
import type { Change, ChangeSet } from './engine.ts';
import type { LoggedChange } from './log.ts';
import type { KeySpan } from './span.ts';

export interface Wanted {
  readonly span: KeySpan;
  readonly previousValues: boolean;
  readonly only: Change['type'] | undefined;
  readonly progressMs: number | undefined;
}

export class Watcher {
  readonly #wanted: Wanted;
  readonly #clock: Clock;
  #position: number;
  /** Up to here all was seen, or passed over; 0 as long as nothing was. */
  #seen = 0;
  #live = false;
  #buffer: ChangeSet[] = [];
  #bufferBytes = 0;
  #isProgressDue = false;
  #wake: (() => void) | undefined;

  /** @param position the last revision not to be seen */
  constructor(wanted: Wanted, position: number, clock: Clock) {
    this.#wanted = wanted;
    this.#position = position;
    this.#clock = clock;
  }

  get span(): KeySpan {
    return this.#wanted.span;
  }

  /** Last revision seen, or passed over; at first the one before the first to see. */
  get position(): number {
    return this.#position;
  }

  get live(): boolean {
    return this.#live;
  }

  get isProgressDue(): boolean {
    return this.#isProgressDue;
  }

  /** A change within the span as it is wanted; undefined: it isn't. */
  shown(logged: LoggedChange): Change | undefined {
    const { only, previousValues } = this.#wanted;
    if (only !== undefined && logged.change.type !== only) return undefined;
    return shownChange(logged, previousValues);
  }

  /** From here on commits are offered. Only valid when `position` is at or past the last revision. */
  goLive(): void {
    this.#live = true;
  }

  /** All up to `revision` was seen, or is nothing that is watched. */
  pass(revision: number): void {
    this.#position = revision;
    this.#seen = revision;
  }

  fallBack(revision: number): void {
    if (!this.#live) return;
    this.#live = false;
    if (this.#buffer.length === 0) this.#position = Math.max(this.#position, revision);
    this.wake();
  }

  offer(set: ChangeSet): void {
    if (!this.#live || set.revision <= this.#position) return;
    const bytes = bytesOf(set);
    const full =
      this.#buffer.length >= WATCH_BUFFER_SETS_MAX ||
      (this.#buffer.length > 0 && this.#bufferBytes + bytes > WATCH_BUFFER_BYTES_MAX);
    if (full) {
      // What is buffered is still in order: it is read first, then the log from there.
      this.#live = false;
      return;
    }
    this.#buffer.push(set);
    this.#bufferBytes += bytes;
    this.wake();
  }

  take(): ChangeSet | undefined {
    const set = this.#buffer.shift();
    if (!set) return undefined;
    this.#bufferBytes -= bytesOf(set);
    this.pass(set.revision);
    return set;
  }

  askProgress(): void {
    this.#isProgressDue = true;
    this.wake();
  }

  /** @param revision the last one committed. Only valid when live, with nothing left to take. */
  takeProgress(revision: number): ChangeSet {
    this.#isProgressDue = false;
    // A watch from a revision to come stands beyond it; one that read ahead in the log has seen more.
    return { revision: Math.max(revision, this.#seen), changes: [] };
  }

  /** Resolves at the next offer, question, abort or close; also when its progress has become due. */
  async wait(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const { progressMs } = this.#wanted;
    if (progressMs === undefined) return woken;
    const bell = new AbortController();
    const late = this.#clock.sleep(progressMs, bell.signal).then(() => {
      if (!bell.signal.aborted) this.#isProgressDue = true;
    });
    await Promise.race([woken, late]);
    bell.abort();
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function bytesOf(set: ChangeSet): number {
  let bytes = 0;
  for (const { kv, previous } of set.changes) {
    bytes += kv.key.length + kv.value.length + (previous?.value.length ?? 0);
  }
  return bytes;
}
