import type { Clock } from '../base/clock.ts';
import { HoldfastError } from '../base/errors.ts';
import { MiB } from '../base/bytes.ts';
import type { Engine } from '../engine/index.ts';
import { assess, type CompareReason } from './assess.ts';
import { sameCheckpoint } from './checkpoint.ts';
import { differences, replicatedEntries } from './compare.ts';
import type { LagMeter } from './lag-meter.ts';
import { batchesOf, Outbox } from './outbox.ts';
import { PageSize } from './page-size.ts';
import type { ParkingLot } from './parking-lot.ts';
import type { Progress } from './progress.ts';
import type { Checkpoint, Mutation, RemoteEntry, ReplicaTarget, SyncState } from './target.ts';
import { ask, askEach, TargetError } from './target-error.ts';
import type { Wakeup } from '../base/wakeup.ts';

/** Wanted size of one read of the log, and the most revisions in it. */
const LOG_PAGE_BYTES = MiB;
const LOG_PAGE_REVISIONS_MAX = 1000;
/** A batch waits for no more of the log than this, or a key written without end would never be sent. */
const BATCH_REVISIONS_MAX = 100_000;
/** Busy for longer than this without a pause is `behind`; a write now and then stays `current`. */
const BEHIND_AFTER_MS = 5000;
/** The target's checkpoint is moved over that many revisions that don't concern it, so that the log may
    be compacted without a comparison. */
const CHECKPOINT_DRIFT_MAX = 1000;

export interface MirrorParts {
  readonly engine: Engine;
  readonly target: ReplicaTarget;
  readonly progress: Progress;
  readonly lot: ParkingLot;
  readonly lag: LagMeter;
  /** Rung when a revision that matters was written. */
  readonly wakeup: Wakeup;
  readonly clock: Clock;
  readonly idleCheckMs: number;
  onState(state: SyncState, reason?: string): void;
  /** The target refused this key for good; told once, until it takes it. */
  onParked(key: string, error: HoldfastError): void;
  /** The target took something. */
  onAcknowledged(): void;
}

/** One connection to a target, from its checkpoint to the end of the connection. */
export class Mirror {
  readonly #parts: MirrorParts;
  readonly #signal: AbortSignal;
  readonly #logPage = new PageSize(LOG_PAGE_BYTES, LOG_PAGE_REVISIONS_MAX);
  /** What we know to be at the target. */
  #left: Checkpoint | undefined;

  constructor(parts: MirrorParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /** Runs until the target fails (TargetError), the engine does, or the signal aborts. */
  async follow(): Promise<void> {
    while (!this.#signal.aborted) {
      const remote = await this.#ask(this.#parts.target.readCheckpoint(this.#signal));
      const position = await this.#start(remote);
      await this.#tail(position);
    }
  }

  /** @returns the revision to go on from. @throws TargetError with Conflict when it isn't ours to write */
  async #start(remote: Checkpoint | undefined): Promise<number> {
    const { engine, progress, lag } = this.#parts;
    const { compactedRevision } = await engine.stats();
    const assessment = assess(
      {
        incarnation: engine.incarnation,
        revision: engine.revision,
        compactedRevision,
        cursor: progress.cursor,
        attempted: progress.attempted,
      },
      remote,
    );
    if (assessment.verdict === 'refuse') {
      if (remote?.session === progress.cursor?.session) await progress.disown();
      throw new TargetError(this.#anotherWriter(assessment.reason));
    }
    if (assessment.verdict === 'compare') return this.#compare(assessment.reason);
    this.#left = remote;
    progress.acknowledged(assessment.from);
    lag.restarted(assessment.from);
    return assessment.from;
  }

  /** All keys on both sides; after it the target is what we were at the revision returned, or later. */
  async #compare(reason: CompareReason): Promise<number> {
    const { engine, target, progress, lot, lag } = this.#parts;
    this.#parts.onState('comparing', reason);
    await progress.beginSession();
    lot.beginComparison();
    const { revision } = engine;
    const remote = this.#remoteEntries();
    for await (const batch of batchesOf(
      differences(replicatedEntries(engine), remote),
      target.limits,
    )) {
      await this.#deliver(batch, 0, 0);
    }
    await this.#deliver([], revision, 0);
    await lot.endComparison();
    lag.restarted(revision);
    return revision;
  }

  /** Returns when the target's checkpoint is no longer what we left there, or the signal aborts. */
  async #tail(start: number): Promise<void> {
    const { clock, progress, lag, onState } = this.#parts;
    let position = start;
    let caughtUpAtMs = clock.monoMs();
    let checkedAtMs = clock.monoMs();
    while (!this.#signal.aborted) {
      const filled = await this.#fill(position);
      if (filled === 'compacted') {
        position = await this.#compare('the log was compacted while we read it');
        continue;
      }
      const { outbox, drained } = filled;
      if (!outbox.empty) {
        await this.#send(outbox, position);
        checkedAtMs = clock.monoMs();
      }
      position = outbox.revision;
      lag.moved(position, outbox.revisions);
      await progress.saveIfDue();
      if (!drained) {
        if (clock.monoMs() - caughtUpAtMs > BEHIND_AFTER_MS) onState('behind');
        continue;
      }
      onState('current');
      const checkInMs = checkedAtMs + this.#parts.idleCheckMs - clock.monoMs();
      if (checkInMs <= 0) {
        if (!(await this.#isAsWeLeft(position))) return;
        checkedAtMs = clock.monoMs();
        continue;
      }
      await this.#rest(checkInMs);
      caughtUpAtMs = clock.monoMs();
    }
  }

  async #rest(ms: number): Promise<void> {
    const { wakeup, clock, progress } = this.#parts;
    await wakeup.wait(Math.min(ms, progress.saveDueMs ?? ms), clock, this.#signal);
  }

  /** The log from `position` on, coalesced, until a batch is full or the log ends. */
  async #fill(position: number): Promise<{ outbox: Outbox; drained: boolean } | 'compacted'> {
    const { engine, target } = this.#parts;
    const outbox = new Outbox(target.limits, position);
    while (!this.#signal.aborted && outbox.revision - position < BATCH_REVISIONS_MAX) {
      const asked = this.#logPage.items;
      const sets = await engine.changes(outbox.revision, asked).catch(compactedOrThrow);
      if (sets === 'compacted') return 'compacted';
      for (const set of sets) {
        if (!outbox.add(set)) return { outbox, drained: false };
      }
      // Not by a short page: the engine also cuts a page by its bytes.
      if (sets.length === 0 || outbox.revision >= engine.revision) return { outbox, drained: true };
      this.#logPage.took(sets.length, sizeOf(sets));
    }
    return { outbox, drained: false };
  }

  /** Only the last batch may claim the outbox's revision; those before it leave the claim as it was. */
  async #send(outbox: Outbox, position: number): Promise<void> {
    const { target } = this.#parts;
    let waiting: readonly Mutation[] | undefined;
    for await (const batch of batchesOf(outbox.mutations(), target.limits)) {
      if (waiting) await this.#deliver(waiting, position, position);
      waiting = batch;
    }
    if (waiting) await this.#deliver(waiting, outbox.revision, position);
  }

  /**
   * One transaction; what the target refuses for good is found by halving, parked, and the rest goes on.
   * @param revision what the checkpoint claims once all of them are there
   * @param before what it may claim until then; not what it last claimed, which a comparison takes back
   */
  async #deliver(mutations: readonly Mutation[], revision: number, before: number): Promise<void> {
    const { lot } = this.#parts;
    try {
      await this.#apply(mutations, revision);
    } catch (thrown) {
      if (mutations.length === 0 || !isPoison(thrown)) throw thrown;
      const [only] = mutations;
      if (mutations.length === 1 && only) {
        await this.#park(only, thrown.error);
        return this.#deliver([], revision, before);
      }
      const half = Math.ceil(mutations.length / 2);
      await this.#deliver(mutations.slice(0, half), before, before);
      return this.#deliver(mutations.slice(half), revision, before);
    }
    if (lot.size > 0) for (const { key } of mutations) await lot.release(key);
  }

  async #park({ key }: Mutation, error: HoldfastError): Promise<void> {
    const at = new Date(this.#parts.clock.wallMs()).toISOString();
    if (await this.#parts.lot.park(key, error, at)) this.#parts.onParked(key, error);
  }

  async #apply(mutations: readonly Mutation[], revision: number): Promise<void> {
    const { target, progress, onAcknowledged } = this.#parts;
    const checkpoint = progress.sending(revision);
    await this.#ask(target.apply(mutations, checkpoint, this.#signal));
    this.#left = checkpoint;
    if (revision > 0) progress.acknowledged(revision);
    onAcknowledged();
  }

  /** A read, so that a dead or restored target is noticed while nothing is written here. */
  async #isAsWeLeft(position: number): Promise<boolean> {
    const remote = await this.#ask(this.#parts.target.readCheckpoint(this.#signal));
    if (!remote || !sameCheckpoint(remote, this.#left)) return false;
    if (position - remote.revision > CHECKPOINT_DRIFT_MAX) await this.#apply([], position);
    return true;
  }

  async *#remoteEntries(): AsyncGenerator<RemoteEntry> {
    const pages = this.#parts.target.list(this.#signal);
    for await (const page of askEach(pages, this.#signal)) yield* page;
  }

  #ask<T>(answer: Promise<T>): Promise<T> {
    return ask(answer, this.#signal);
  }

  #anotherWriter(reason: string): HoldfastError {
    const { target } = this.#parts;
    return new HoldfastError('Conflict', `target ${target.id} is written by another: ${reason}`, {
      hint:
        'find the other writer (a cloned host?); when it is gone, delete our .checkpoint key at the ' +
        'target, and this host compares and takes over',
    });
  }
}

function isPoison(thrown: unknown): thrown is TargetError {
  if (!(thrown instanceof TargetError)) return false;
  return thrown.error.code === 'TooLarge' || thrown.error.code === 'InvalidArgument';
}

function compactedOrThrow(thrown: unknown): 'compacted' {
  if (thrown instanceof HoldfastError && thrown.code === 'Compacted') return 'compacted';
  throw thrown;
}

function sizeOf(sets: Awaited<ReturnType<Engine['changes']>>): number {
  let bytes = 0;
  for (const { changes } of sets) {
    for (const { kv } of changes) bytes += kv.key.length + kv.value.length;
  }
  return bytes;
}
