/**
 * Group commit. Writes queue; one drain takes what is there, up to the batch limits, applies it in
 * order and commits it with one sync. Only then are the callers answered and the watchers told.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HoldfastError, messageOf, toHoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { Batch } from './batch.ts';
import { BATCH_BYTES_MAX, BATCH_OPS_MAX, QUEUE_BYTES_MAX } from './limits.ts';
import { readHead } from './recover.ts';
import type { Backend } from './backend.ts';
import type { ChangeSet } from './engine.ts';
import type { Head } from './record.ts';
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

export interface CommitListener {
  /** After each commit, before the callers are answered: `changeSets` are durable now. */
  publish(changeSets: readonly ChangeSet[]): void;
  /** A failed commit turned out to be on the disk: there are revisions after `revision` to be read. */
  resync(revision: number): void;
  /** After a failed commit: leases may have come or gone without a revision. */
  recheckLeases(): void;
}

export class Writer {
  readonly #backend: Backend;
  readonly #listener: CommitListener;
  #head: Head;
  #queue: Pending[] = [];
  #queueBytes = 0;
  #compactions: CompactWaiter[] = [];
  #draining: Promise<void> | undefined;
  #closed = false;
  /** Set when the state after a failed commit could not be read: nothing may be written on top. */
  #broken: HoldfastError | undefined;

  constructor(backend: Backend, head: Head, listener: CommitListener) {
    this.#backend = backend;
    this.#head = head;
    this.#listener = listener;
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
    for (const pending of this.#queue.splice(0)) pending.reject(closedError());
    for (const waiter of this.#compactions.splice(0)) waiter.reject(closedError());
    await this.#draining;
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

  #start(): void {
    this.#draining ??= this.#drain();
  }

  /** The turn before each batch lets callers that were just answered join it, and I/O go on. */
  async #drain(): Promise<void> {
    await nextTurn();
    while (!this.#broken && (this.#queue.length > 0 || this.#compactions.length > 0)) {
      await this.#commitBatch(this.#take());
      await nextTurn();
    }
    // In the same turn as the check above, or a write could queue between and never be drained.
    this.#draining = undefined;
  }

  #take(): Pending[] {
    let ops = 0;
    let bytes = 0;
    let count = 0;
    for (const { job } of this.#queue) {
      ops += job.weight;
      bytes += job.bytes;
      if (count > 0 && (ops > BATCH_OPS_MAX || bytes > BATCH_BYTES_MAX)) break;
      count += 1;
    }
    const taken = this.#queue.splice(0, count);
    for (const { job } of taken) this.#queueBytes -= job.bytes;
    return taken;
  }

  async #commitBatch(taken: readonly Pending[]): Promise<void> {
    try {
      const batch = new Batch(this.#backend, this.#head);
      const outcomes = taken.map(({ job }) => applied(batch, job));
      const target = Math.max(0, ...this.#compactions.map((waiter) => waiter.revision));
      batch.compact(target, this.#head.revision);
      const writes = batch.writes();
      if (writes.length > 0) await this.#backend.commit(writes);
      this.#head = batch.head;
      this.#listener.publish(batch.changeSets);
      settle(taken, outcomes);
      this.#settleCompactions();
    } catch (thrown) {
      this.#fail(taken, toHoldfastError(thrown));
    }
  }

  /**
   * None of the batch is acknowledged, also not as a failed condition: it may have failed against a
   * write of the same batch. What the disk says now is read back rather than assumed.
   */
  #fail(taken: readonly Pending[], error: HoldfastError): void {
    const { revision } = this.#head;
    try {
      this.#head = readHead(this.#backend);
      if (this.#head.revision !== revision) this.#listener.resync(revision);
      this.#listener.recheckLeases();
    } catch (thrown) {
      this.#broken = new HoldfastError(
        'Unavailable',
        `a commit failed (${error.message}) and then the store could not be read ` +
          `(${messageOf(thrown)})`,
        { hint: 'restart the agent; if it stays so, look at the disk', cause: error },
      );
    }
    for (const pending of taken) pending.reject(error);
    const waiting = this.#compactions.splice(0);
    for (const waiter of waiting) waiter.reject(error);
    if (!this.#broken) return;
    for (const pending of this.#queue.splice(0)) pending.reject(this.#broken);
    this.#queueBytes = 0;
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

function settle(taken: readonly Pending[], outcomes: readonly Outcome[]): void {
  for (const [i, pending] of taken.entries()) {
    const outcome = outcomes[i]!;
    if (outcome instanceof HoldfastError) pending.reject(outcome);
    else pending.resolve(outcome);
  }
}
