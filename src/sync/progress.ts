import { systemClock, type Clock } from '../base/clock.ts';
import { newId } from '../base/ids.ts';
import type { Engine } from '../engine/index.ts';
import type { Cursor } from './assess.ts';
import { parseCheckpoint, parseObject } from './checkpoint.ts';
import type { Checkpoint } from './target.ts';

/** Sessions remembered; a target restored from before that many comparisons counts as another writer's. */
const SESSIONS_MAX = 10;
/** While acknowledgements come, the cursor is a revision of its own this often at most. */
const CURSOR_INTERVAL_MS = 5000;

/** Who holds the engine's log for a target; the agent names it when it opens the engine. */
export function logHolder(targetId: string): string {
  return `sync target ${targetId}`;
}

/**
 * The local half of the checkpoint, at `sync/cursor/<target>`. It is saved only after a target
 * acknowledged something, and rarely: the target's half says the same, and is the one that counts.
 * What must be durable before the target hears of it is the session.
 *
 * The log after the cursor is held for the target, also while it is away. Where a comparison is due anyway
 * nothing is held before it begins; from then on what it may have missed is.
 */
export class Progress {
  readonly #engine: Engine;
  readonly #key: string;
  readonly #holder: string;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #cursor: Cursor | undefined;
  #attempted: number | undefined;
  #dirty = false;
  #savedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    engine: Engine,
    targetId: string,
    clock: Clock = systemClock,
    intervalMs: number = CURSOR_INTERVAL_MS,
  ) {
    this.#engine = engine;
    this.#key = `sync/cursor/${targetId}`;
    this.#holder = logHolder(targetId);
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** See `LocalSide.attempted`. */
  get attempted(): number | undefined {
    return this.#attempted;
  }

  /** Milliseconds until the cursor should be saved; undefined when there is nothing to save. */
  get saveDueMs(): number | undefined {
    if (!this.#dirty) return undefined;
    return Math.max(0, this.#savedAtMs + this.#intervalMs - this.#clock.monoMs());
  }

  /** A cursor that can't be read counts as none: then a comparison is due. */
  async load(): Promise<void> {
    const kv = await this.#engine.get(this.#key);
    const checkpoint = kv && parseCheckpoint(kv.value);
    this.#attempted = undefined;
    this.#dirty = false;
    if (!kv || !checkpoint) {
      this.#cursor = undefined;
      return this.#hold(undefined);
    }
    const listed = parseObject(kv.value)?.sessions;
    const sessions = Array.isArray(listed) ? listed.filter((id) => typeof id === 'string') : [];
    this.#cursor = { ...checkpoint, sessions };
    const { incarnation, revision } = checkpoint;
    const isOurs = incarnation === this.#engine.incarnation && revision <= this.#engine.revision;
    this.#hold(isOurs && revision > 0 ? revision : undefined);
  }

  /** A new session, durable before the target sees it; one that never got anywhere is used again. */
  async beginSession(): Promise<void> {
    const { incarnation } = this.#engine;
    this.#hold(this.#engine.revision);
    const before = this.#cursor;
    if (before?.incarnation === incarnation && before.revision === 0) return;
    const session = newId();
    const sessions = [session, ...(before?.sessions ?? [])].slice(0, SESSIONS_MAX);
    this.#cursor = { incarnation, revision: 0, session, sessions };
    this.#attempted = 0;
    await this.#save();
  }

  /**
   * Somebody else writes under our session (a copy of this store, most likely): from here on, and
   * after a restart, that session is foreign.
   */
  async disown(): Promise<void> {
    const { incarnation } = this.#engine;
    this.#hold(undefined);
    const session = newId();
    this.#cursor = { incarnation, revision: 0, session, sessions: [session] };
    this.#attempted = 0;
    await this.#save();
  }

  /** The checkpoint for what is about to be sent. */
  sending(revision: number): Checkpoint {
    if (!this.#cursor) throw new Error('sending without a session');
    this.#attempted = Math.max(this.#attempted ?? 0, revision);
    return { incarnation: this.#cursor.incarnation, revision, session: this.#cursor.session };
  }

  /** The target holds everything up to here. */
  acknowledged(revision: number): void {
    if (!this.#cursor) throw new Error('acknowledged without a session');
    this.#attempted = Math.max(this.#attempted ?? 0, revision);
    if (this.#cursor.revision === revision) return;
    this.#cursor = { ...this.#cursor, revision };
    this.#hold(revision);
    this.#dirty = true;
  }

  async saveIfDue(): Promise<void> {
    if (this.saveDueMs === 0) await this.#save();
  }

  async saveNow(): Promise<void> {
    if (this.#dirty) await this.#save();
  }

  #hold(revision: number | undefined): void {
    this.#engine.hold(this.#holder, revision);
  }

  async #save(): Promise<void> {
    this.#dirty = false;
    this.#savedAtMs = this.#clock.monoMs();
    await this.#engine.put(this.#key, Buffer.from(JSON.stringify(this.#cursor)));
  }
}
