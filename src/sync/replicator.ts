import { Backoff } from '../base/backoff.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { toHoldfastError, type HoldfastError } from '../base/errors.ts';
import type { Engine } from '../engine/index.ts';
import { isReplicated } from './directions.ts';
import { LagMeter } from './lag-meter.ts';
import { Mirror } from './mirror.ts';
import { ParkingLot } from './parking-lot.ts';
import { Progress } from './progress.ts';
import type { ReplicaTarget, SyncState, SyncStatus } from './target.ts';
import { ask, TargetError } from './target-error.ts';
import { Wakeup } from '../base/wakeup.ts';

/** A target that doesn't answer: full jitter between these. */
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MAX_MS = 60_000;
/** A target that says no is asked again this slowly: a person has to act, and a wrong password costs it. */
const REFUSED_RETRY_MS = 60_000;
/** An idle connection is checked by one read, so that a dead target shows within this and a deadline. */
const IDLE_CHECK_MS = 60_000;
/** Conflicts in a row, nothing delivered in between, until the other writer can't be our own late batch. */
const CONFLICTS_MAX = 3;
/** A target that won't close is left behind after this. */
const CLOSE_TIMEOUT_MS = 1000;
/** At start the lag is counted exactly over at most this much of the log. */
const LAG_SCAN_REVISIONS_MAX = 10_000;

export interface SyncStateChange {
  readonly target: string;
  /** The same as `to` when a target refuses for another reason than before. */
  readonly from: SyncState;
  readonly to: SyncState;
  /** Why it is compared. */
  readonly reason?: string | undefined;
  /** With `offline` and `refused`. */
  readonly error?: HoldfastError | undefined;
}

export interface ReplicatorOptions {
  readonly engine: Engine;
  readonly target: {
    readonly id: string;
    readonly type: string;
    readonly endpoints: readonly string[];
    /** A fresh target for each connection: files it reads may have changed. */
    open(): Promise<ReplicaTarget>;
  };
  /** Must not throw. */
  readonly onState?: ((change: SyncStateChange) => void) | undefined;
  /** The target refused this key for good: what it holds there is old. Must not throw. */
  readonly onParked?: ((key: string, error: HoldfastError) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** For tests: other times than the ones above. */
  readonly times?: {
    readonly backoffFirstMs?: number;
    readonly backoffMaxMs?: number;
    readonly refusedRetryMs?: number;
    readonly idleCheckMs?: number;
    readonly cursorIntervalMs?: number;
  };
}

/** Keeps one target equal to the replicated part of the engine, whenever it answers. */
export class Replicator {
  readonly #options: ReplicatorOptions;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #progress: Progress;
  readonly #lot: ParkingLot;
  readonly #backoff: Backoff;
  readonly #wakeup = new Wakeup();
  #lag = new LagMeter();
  #state: SyncState = 'stopped';
  #conflicts = 0;
  #lastAckAt: string | undefined;
  #lastError: SyncStatus['lastError'];
  #refusedFor: string | undefined;

  constructor(options: ReplicatorOptions) {
    const { engine, target, times } = options;
    this.#options = options;
    this.#engine = engine;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#progress = new Progress(engine, target.id, this.#clock, times?.cursorIntervalMs);
    this.#lot = new ParkingLot(engine, target.id);
    this.#backoff = new Backoff(
      times?.backoffFirstMs ?? BACKOFF_FIRST_MS,
      times?.backoffMaxMs ?? BACKOFF_MAX_MS,
      this.#random,
    );
  }

  /** Until the signal aborts. A target never makes it reject; a failing engine does. */
  async run(signal: AbortSignal): Promise<void> {
    const inner = new AbortController();
    const both = AbortSignal.any([signal, inner.signal]);
    await this.#progress.load();
    await this.#lot.load();
    this.#startLag();
    this.#setState('connecting');
    const watching = this.#watchLog(both);
    const replicating = this.#replicate(both);
    try {
      await Promise.race([watching, replicating]);
    } finally {
      inner.abort();
      await Promise.allSettled([watching, replicating]);
      // Best effort: without it the next start reads the same from the target's checkpoint.
      await this.#progress.saveNow().catch(() => undefined);
      this.#setState('stopped');
    }
  }

  status(): SyncStatus {
    const { id, type, endpoints } = this.#options.target;
    const localRevision = this.#engine.revision;
    return {
      target: id,
      type,
      endpoints,
      state: this.#state,
      cursor: this.#lag.position,
      localRevision,
      lagRevisions: this.#lag.revisionsUpTo(localRevision),
      ...(this.#lastAckAt === undefined ? {} : { lastAckAt: this.#lastAckAt }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      parked: this.#lot.size,
    };
  }

  async #replicate(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#followOnce(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (!(thrown instanceof TargetError)) throw thrown;
        await this.#clock.sleep(await this.#failed(thrown.error), signal);
      }
    }
  }

  async #followOnce(signal: AbortSignal): Promise<void> {
    const target = await ask(this.#options.target.open(), signal);
    const mirror = new Mirror(
      {
        engine: this.#engine,
        target,
        progress: this.#progress,
        lot: this.#lot,
        lag: this.#lag,
        wakeup: this.#wakeup,
        clock: this.#clock,
        idleCheckMs: this.#options.times?.idleCheckMs ?? IDLE_CHECK_MS,
        onState: (state, reason) => this.#reached(state, reason),
        onParked: (key, error) => this.#options.onParked?.(key, error),
        onAcknowledged: () => this.#acknowledged(),
      },
      signal,
    );
    try {
      await mirror.follow();
    } finally {
      const closed = new AbortController();
      const closing = target.close().catch(() => undefined);
      await Promise.race([closing, this.#clock.sleep(CLOSE_TIMEOUT_MS, closed.signal)]);
      closed.abort();
    }
  }

  /** @returns how long to wait before the next try */
  async #failed(error: HoldfastError): Promise<number> {
    const at = new Date(this.#clock.wallMs()).toISOString();
    this.#lastError = { code: error.code, message: error.message, at };
    if (error.code === 'Conflict') {
      this.#conflicts += 1;
      // Our own batch, believed lost, may arrive late: read the checkpoint again at once.
      if (this.#conflicts === 1) return 0;
      if (this.#conflicts === CONFLICTS_MAX) await this.#progress.disown();
    }
    const offline = OFFLINE_CODES.has(error.code);
    if (offline) {
      this.#setState('offline', { error });
      return this.#backoff.next();
    }
    // Refused for another reason is news to whoever acted on the first one.
    const news = this.#state === 'refused' && this.#refusedFor !== error.code;
    this.#refusedFor = error.code;
    if (news) this.#tell('refused', { error });
    else this.#setState('refused', { error });
    const slowMs = this.#options.times?.refusedRetryMs ?? REFUSED_RETRY_MS;
    return slowMs * (0.5 + this.#random() / 2);
  }

  #acknowledged(): void {
    this.#conflicts = 0;
    this.#backoff.reset();
    this.#lastAckAt = new Date(this.#clock.wallMs()).toISOString();
  }

  #reached(state: SyncState, reason: string | undefined): void {
    if (state === 'current') {
      this.#conflicts = 0;
      this.#backoff.reset();
      this.#lastError = undefined;
    }
    this.#setState(state, { reason });
  }

  #setState(to: SyncState, more: Pick<SyncStateChange, 'reason' | 'error'> = {}): void {
    const from = this.#state;
    if (from === to) return;
    this.#state = to;
    this.#tell(from, more);
  }

  #tell(from: SyncState, more: Pick<SyncStateChange, 'reason' | 'error'>): void {
    this.#options.onState?.({ target: this.#options.target.id, from, to: this.#state, ...more });
  }

  #startLag(): void {
    const { cursor } = this.#progress;
    const { incarnation, revision } = this.#engine;
    // A store that was put back is behind its cursor: the watch begins where the store is.
    const position = cursor?.incarnation === incarnation ? Math.min(cursor.revision, revision) : 0;
    this.#lag = new LagMeter();
    this.#lag.startWatching(position);
    this.#lag.moved(position, 0);
  }

  /** Rings the bell, and counts; the log itself is read when the target can take it. */
  async #watchLog(signal: AbortSignal): Promise<void> {
    let after = this.#lag.position;
    while (!signal.aborted) {
      if (this.#engine.revision - after > LAG_SCAN_REVISIONS_MAX) {
        after = this.#engine.revision;
        this.#lag.startWatching(after);
      }
      try {
        for await (const set of this.#engine.watch('', { from: after + 1, signal })) {
          const matters = set.changes.some(({ kv }) => isReplicated(kv.key));
          this.#lag.saw(set.revision, matters);
          if (matters) this.#wakeup.ring();
        }
      } catch (thrown) {
        if (toHoldfastError(thrown).code !== 'Compacted') throw thrown;
        after = this.#engine.revision;
        this.#lag.startWatching(after);
        this.#wakeup.ring();
      }
    }
  }
}

/** The target, or the way to it, is down; everything else is an answer. */
const OFFLINE_CODES: ReadonlySet<string> = new Set([
  'NotReachable',
  'Unavailable',
  'DeadlineExceeded',
  'Cancelled',
]);
