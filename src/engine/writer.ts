/**
 * Group commit. Writes queue; each turn of the loop applies what is there, up to the batch limits, and
 * one commit with one sync makes it durable. Only then are the callers answered and the watchers told.
 *
 * While one batch is being committed (the backend does that on another thread) the next one is applied
 * on top of it. When the commit fails, so did what stood on it: that batch is applied anew. A commit that
 * found no space is tried again with what may still go: reserve.ts says what that is.
 *
 * How much goes into one batch depends on the disk. Where a sync takes long, all that waits shares the next
 * one. Where commits are quick, the thread that commits would wait for the main thread to apply, and the
 * other way round: then half of what waits goes ahead, and neither stands still. Applying gives way to the rest
 * of the process often, as the answer of a commit waits for it, and with it the thread.
 */
import { HoldfastError, messageOf, toHoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { Batch } from './batch.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_OPS_MAX,
  FILL_MS_MAX,
  QUEUE_BYTES_MAX,
  QUICK_COMMIT_MS,
  QUICK_OPS_MIN,
} from './limits.ts';
import { RelaxedWrites } from './relaxed.ts';
import { RecentRecords } from './recent.ts';
import { readHead } from './recover.ts';
import type { Clock } from '../base/clock.ts';
import { onlyFrees, type Reserve } from './reserve.ts';
import type { Backend } from './backend.ts';
import type { LoggedSet } from './log.ts';
import type { Head } from './record.ts';
import type { Bounds, Retention } from './retention.ts';
import type { TxnResult } from './batch.ts';
import type { Job } from './txn.ts';

interface Pending {
  readonly job: Job;
  readonly resolve: (result: TxnResult) => void;
  readonly reject: (error: HoldfastError) => void;
}

interface CompactWaiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: HoldfastError) => void;
}

type Outcome = TxnResult | HoldfastError;

/** A batch with whom to answer for it. */
interface Group {
  readonly batch: Batch;
  readonly taken: Pending[];
  readonly outcomes: Outcome[];
  weight: number;
  bytes: number;
  /** A commit of these found no space before. */
  isRetry: boolean;
}

export interface CommitListener {
  /** After each commit, before the callers are answered: `changeSets` are durable now. */
  publish(changeSets: readonly LoggedSet[]): void;
  /** A failed commit turned out to be on the disk: there are revisions after `revision` to be read. */
  resync(revision: number): void;
  /** After a failed commit: leases may have come or gone without a revision. */
  recheckLeases(): void;
}

export interface WriterParts {
  readonly listener: CommitListener;
  readonly retention: Retention;
  /** Absent: a store without a disk. */
  readonly reserve: Reserve | undefined;
  /** What relaxed writes go by. */
  readonly clock: Clock;
}

export class Writer {
  readonly #backend: Backend;
  readonly #listener: CommitListener;
  readonly #relaxed: RelaxedWrites;
  readonly #retention: Retention;
  readonly #reserve: Reserve | undefined;
  readonly #clock: Clock;
  readonly #recent = new RecentRecords();
  #head: Head;
  /** Accepted, not applied yet. */
  #queue: Pending[] = [];
  /** Of all that is accepted and not being committed. */
  #queueBytes = 0;
  #compactions: CompactWaiter[] = [];
  /** Being filled, on top of the one in flight. */
  #ahead: Group | undefined;
  #flight: Group | undefined;
  #flying: Promise<void> | undefined;
  #turnComes = false;
  /** Relaxed commits have waited as long as they may. */
  #syncIsDue = false;
  /** The last commit was. */
  #isQuick = false;
  #closed = false;
  /** Set when the state after a failed commit is not known: nothing may be written on top. */
  #broken: HoldfastError | undefined;

  constructor(backend: Backend, head: Head, { listener, retention, reserve, clock }: WriterParts) {
    this.#backend = backend;
    this.#head = head;
    this.#listener = listener;
    this.#retention = retention;
    this.#reserve = reserve;
    this.#clock = clock;
    this.#relaxed = new RelaxedWrites(backend, clock, () => {
      this.#syncIsDue = true;
      this.#start();
    });
  }

  /** Where the store durably stands. */
  get head(): Head {
    return this.#head;
  }

  /** @throws what the job meets, Unavailable when closed or when too much waits already */
  submit(job: Job): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(job.bytes);
      if (refusal) return reject(refusal);
      this.#queue.push({ job, resolve, reject });
      this.#queueBytes += job.bytes;
      this.#start();
    });
  }

  /** Resolves when the log holds nothing at or below `revision`. */
  compact(revision: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(0);
      if (refusal) return reject(refusal);
      this.#compactions.push({ revision, resolve, reject });
      this.#start();
    });
  }

  /** Waits for the running commit; what has not begun is refused. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#rejectWaiting(closedError());
    await this.#flying;
    if (!this.#broken) await this.#relaxed.close();
    await this.#reserve?.close();
  }

  #refusal(bytes: number): HoldfastError | undefined {
    if (this.#closed) return closedError();
    if (this.#broken) return this.#broken;
    if (this.#queueBytes === 0 || this.#queueBytes + bytes <= QUEUE_BYTES_MAX) return undefined;
    return new HoldfastError(
      'Unavailable',
      `${formatBytes(this.#queueBytes)} of writes wait for the disk, the limit is ` +
        formatBytes(QUEUE_BYTES_MAX),
      { hint: 'wait for earlier writes before sending more', retry: 'later' },
    );
  }

  /** Not at once: callers that were just answered join the next batch, and I/O goes on. */
  #start(): void {
    if (this.#turnComes) return;
    this.#turnComes = true;
    setImmediate(() => {
      this.#turnComes = false;
      this.#turn();
    });
  }

  #turn(): void {
    const isCut = this.#queue.length > 0 && this.#fill();
    if (isCut) this.#start();
    if (this.#flight || (isCut && !this.#isQuick)) return;
    const isAsked = this.#ahead || this.#compactions.length > 0 || this.#syncIsDue;
    if (isAsked && !this.#closed) this.#launch(this.#ahead ?? this.#newGroup());
    if (this.#queue.length > 0) this.#start();
  }

  #newGroup(): Group {
    const batch = new Batch(this.#backend, this.#head, this.#recent, this.#flight?.batch);
    return { batch, taken: [], outcomes: [], weight: 0, bytes: 0, isRetry: false };
  }

  /** Applies what is queued until the batch is full. @returns true when others have to have their turn first */
  #fill(): boolean {
    this.#ahead ??= this.#newGroup();
    const group = this.#ahead;
    const until = this.#clock.monoMs() + FILL_MS_MAX;
    const most = this.#share();
    let count = 0;
    let isCut = false;
    for (const pending of this.#queue) {
      if (group.taken.length > 0 && isFull(group, pending.job)) break;
      isCut = count === most || (count > 0 && this.#clock.monoMs() > until);
      if (isCut) break;
      join(group, pending);
      count += 1;
    }
    this.#queue.splice(0, count);
    return isCut;
  }

  /** How many of the queue go into the next batch, at most. */
  #share(): number {
    const half = Math.ceil(this.#queue.length / 2);
    return this.#isQuick && !this.#flight && half >= QUICK_OPS_MIN ? half : Infinity;
  }

  #launch(group: Group): void {
    this.#ahead = undefined;
    this.#flight = group;
    this.#queueBytes -= group.bytes;
    group.batch.landed();
    this.#flying = this.#commit(group);
  }

  async #commit(group: Group): Promise<void> {
    const { batch } = group;
    const launchedAt = this.#clock.monoMs();
    try {
      if (this.#reserve?.status.out && putsAnything(group)) await this.#reserve.takeBack();
      const isNews = batch.head.revision > this.#head.revision;
      const mark = isNews ? this.#retention.mark(batch.head.compacted) : undefined;
      if (mark) batch.add(mark.writes);
      batch.compact(this.#bounds(batch.head), this.#head.revision);
      await this.#write(group);
      this.#retention.committed(batch.head.revision, mark);
    } catch (thrown) {
      const retry = await this.#failed(group, toHoldfastError(thrown));
      if (retry) return this.#commit(retry);
      this.#start();
      return;
    }
    batch.committed();
    this.#head = batch.head;
    this.#reserve?.wrote(group.bytes, batch.freedBytes);
    this.#flight = undefined;
    this.#isQuick =
      !this.#backend.costlyCommits && this.#clock.monoMs() - launchedAt < QUICK_COMMIT_MS;
    // One that is full, nearly, or quick gains nothing by waiting for those who are answered now.
    if (this.#ahead && (this.#queue.length > 0 || this.#isWorthIt(this.#ahead))) {
      this.#launch(this.#ahead);
    }
    this.#listener.publish(group.batch.changeSets);
    settle(group);
    this.#settleCompactions();
    this.#start();
  }

  #isWorthIt({ taken, weight, bytes }: Group): boolean {
    const isNearlyFull = weight > BATCH_OPS_MAX / 2 || bytes > BATCH_BYTES_MAX / 2;
    return isNearlyFull || (this.#isQuick && taken.length >= QUICK_OPS_MIN);
  }

  async #write(group: Group): Promise<void> {
    const writes = group.batch.writes();
    const relaxedMs = this.#syncIsDue ? undefined : this.#relaxedMs(group);
    const ceiling =
      relaxedMs === undefined ? undefined : this.#relaxed.ceilingFor(group.batch.head.revision);
    if (ceiling) writes.push(ceiling.write);
    const isRelaxed = relaxedMs !== undefined && !ceiling;
    if (writes.length > 0) await this.#backend.commit(writes, isRelaxed);
    else if (this.#syncIsDue) await this.#sync();
    else return;
    if (isRelaxed) return this.#relaxed.wrote(relaxedMs);
    if (ceiling) this.#relaxed.raised(ceiling);
    this.#relaxed.synced();
    this.#syncIsDue = false;
  }

  async #sync(): Promise<void> {
    try {
      await this.#backend.sync?.();
    } catch (thrown) {
      // Whatever it was: the kernel may have dropped what it could not write (fsync(2), ERRORS).
      throw new HoldfastError('HostFailed', messageOf(thrown), { cause: thrown });
    }
  }

  /** Undefined: it is to be synced. */
  #relaxedMs({ taken }: Group): number | undefined {
    if (!this.#backend.sync || taken.length === 0) return undefined;
    let least = Infinity;
    for (const { job } of taken) {
      if (job.type !== 'txn' || job.relaxedMs === undefined) return undefined;
      least = Math.min(least, job.relaxedMs);
    }
    return least;
  }

  /** While the reserve is out the log gives twice what the batch takes: a delete must not need room for ever. */
  #bounds(head: Head): Bounds {
    const asked = Math.max(0, ...this.#compactions.map((waiter) => waiter.revision));
    const bounds = this.#retention.bounds(head, asked);
    if (!this.#reserve?.status.out) return bounds;
    const bytes = Math.max(0, 2 * this.#head.logBytes - head.logBytes);
    return { ...bounds, bytes: Math.min(bounds.bytes, bytes) };
  }

  /** @returns what is to be committed instead, in flight already */
  async #failed(group: Group, error: HoldfastError): Promise<Group | undefined> {
    if (error.code !== 'NoSpace' || !this.#reserve) {
      this.#refuse(group, group.taken, error);
      return undefined;
    }
    const jobs = group.taken.map(({ job }) => job);
    const isCompacting = this.#compactions.length > 0;
    const next = await this.#reserve.makeRoom(jobs, { isRetry: group.isRetry, isCompacting });
    const half = next === 'half' ? Math.ceil(jobs.length / 2) : Infinity;
    const again =
      next === 'none' ? [] : group.taken.filter(({ job }) => next !== 'frees' || onlyFrees(job));
    const refused = group.taken.filter((pending) => !again.includes(pending));
    const later = again.splice(half);
    this.#refuse(group, refused, this.#reserve.explain(error, jobs), next === 'none');
    if (next === 'none' || this.#broken) return undefined;
    const retry = { ...this.#newGroup(), isRetry: true };
    for (const pending of again) join(retry, pending);
    for (const pending of later) this.#queueBytes += pending.job.bytes;
    this.#queue.unshift(...later);
    this.#flight = retry;
    return retry;
  }

  /**
   * None of the batch is acknowledged, also not as a failed condition: it may have failed against a
   * write of the same batch. What the disk says now is read back rather than assumed.
   */
  #refuse(
    group: Group,
    refused: readonly Pending[],
    error: HoldfastError,
    compactionsToo = true,
  ): void {
    const { revision } = this.#head;
    this.#flight = undefined;
    this.#recent.clear();
    this.#takeBack();
    this.#syncIsDue = false;
    try {
      if (this.#relaxed.pending && error.code !== 'NoSpace') {
        throw new Error('relaxed writes were not synced yet, they may be lost');
      }
      this.#relaxed.putOff();
      this.#head = readHead(this.#backend);
      if (this.#head.revision !== revision) this.#listener.resync(revision);
      this.#listener.recheckLeases();
    } catch (thrown) {
      this.#broken = new HoldfastError(
        'Unavailable',
        `a commit failed (${error.message}), and what the store holds is not known: ` +
          messageOf(thrown),
        { hint: 'restart the agent; if it stays so, look at the disk', cause: error },
      );
    }
    for (const pending of this.#broken ? group.taken : refused) pending.reject(error);
    const waiting = compactionsToo ? this.#compactions.splice(0) : [];
    for (const waiter of waiting) waiter.reject(error);
    if (this.#broken) this.#rejectWaiting(this.#broken);
  }

  /** What was applied on top of a failed commit is asked for anew. */
  #takeBack(): void {
    if (this.#ahead) this.#queue.unshift(...this.#ahead.taken);
    this.#ahead = undefined;
  }

  #rejectWaiting(error: HoldfastError): void {
    this.#takeBack();
    this.#queueBytes = 0;
    for (const pending of this.#queue.splice(0)) pending.reject(error);
    for (const waiter of this.#compactions.splice(0)) waiter.reject(error);
  }

  #settleCompactions(): void {
    const done = this.#compactions.filter((waiter) => waiter.revision <= this.#head.compacted);
    this.#compactions = this.#compactions.filter((waiter) => !done.includes(waiter));
    for (const waiter of done) waiter.resolve();
  }
}

export function closedError(): HoldfastError {
  return new HoldfastError('Unavailable', 'the engine is closed', { retry: 'later' });
}

function applied(batch: Batch, job: Job): Outcome {
  try {
    return batch.apply(job);
  } catch (thrown) {
    return toHoldfastError(thrown);
  }
}

function join(group: Group, pending: Pending): void {
  const { job } = pending;
  group.taken.push(pending);
  group.outcomes.push(applied(group.batch, job));
  group.weight += job.weight;
  group.bytes += job.bytes;
}

function putsAnything({ taken }: Group): boolean {
  return taken.some(({ job }) => !onlyFrees(job));
}

function isFull({ batch, weight, bytes }: Group, next: Job): boolean {
  return (
    weight + batch.extraWeight + next.weight > BATCH_OPS_MAX ||
    bytes + batch.extraBytes + next.bytes > BATCH_BYTES_MAX
  );
}

function settle({ taken, outcomes }: Group): void {
  taken.forEach(({ resolve, reject }, i) => {
    const outcome = outcomes[i]!;
    if (outcome instanceof HoldfastError) reject(outcome);
    else resolve(outcome);
  });
}
