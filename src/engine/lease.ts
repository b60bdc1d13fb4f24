/**
 * Leases: keys that end with whoever holds them.
 *
 * WHAT IS KEPT. A grant writes one record (id, time to live), a put under a lease one more (lease, key),
 * both through the writer, in the batch of everything else. Deadlines are in memory only, so a keep-alive
 * is neither a revision nor a write: a holder that says "still here" every few seconds for years wears
 * out no flash, and leases at rest write nothing. Without a lease there is no timer.
 *
 * THE END. A lease ends by `revoke` or by its time. Either way one job goes to the writer; it deletes the
 * keys that are under the lease then, in one revision, with the lease's own records. Watchers and replicas
 * see deletes like any other. Once its end has begun a lease can't be kept alive any more. Where the disk
 * doesn't take the write (it is full), the end is tried again every LEASE_RETRY_MS, for ever; after a
 * restart the lease is a whole one again.
 *
 * TIME is the monotonic clock: setting the date ends no lease. A lease lasts its time to live at least and
 * twice LEASE_CONFIRM_MS more at most, then comes the commit.
 *
 * RESTART. Every lease begins its time anew when the store opens: none counts the time the agent was down.
 * That time can't be told (a host without a clock, a date that was set), and while the agent was down
 * nobody could keep a lease alive, so counting it would end what is well. etcd does the same. The price:
 * a dead holder's keys live for one more time to live after each restart.
 *
 * STALLS. When the process, or the host, stood still (a suspend, a frozen cgroup, a disk that held the
 * main loop), all deadlines may have passed while keep-alives lie unread in the sockets. So a lease that
 * is seen due does not end yet: first this process must have run on time for LEASE_CONFIRM_MS, measured by
 * a sleep that wasn't late by more than that again. Who is kept alive meanwhile, lives on.
 */
import { randomInt } from 'node:crypto';
import { HoldfastError } from '../base/errors.ts';
import { Wakeup } from '../base/wakeup.ts';
import { leaseNotFound } from './lease-draft.ts';
import { readGrants, readMembers } from './lease-record.ts';
import { grantJob, revokeJob } from './txn.ts';
import {
  LEASE_CONFIRM_MS,
  LEASE_ENDS_AT_ONCE,
  LEASE_RETRY_MS,
  LEASE_TTL_SECONDS_MAX,
  LEASE_TTL_SECONDS_MIN,
  LEASES_MAX,
} from './limits.ts';
import type { Clock } from '../base/clock.ts';
import type { Backend } from './backend.ts';
import type { Leases, LeaseStatus } from './engine.ts';
import type { Writer } from './writer.ts';

/** Ids stay below it: JSON and u64 hold them exactly, and a stale id meets a new lease once in 2^47. */
const ID_BEFORE = 2 ** 47;

interface Held {
  readonly ttlSeconds: number;
  /** On the monotonic clock; once it has ended, when its end is tried again. */
  deadlineMs: number;
  ended: boolean;
}

export interface LeaseParts {
  readonly backend: Backend;
  readonly writer: Writer;
  readonly clock: Clock;
  /** ttlSeconds of each lease that the store holds at opening. */
  readonly found: ReadonlyMap<number, number>;
  /** @throws Unavailable when the engine is closed */
  readonly assertOpen: () => void;
}

export class LeaseKeeper implements Leases {
  readonly #parts: LeaseParts;
  readonly #held = new Map<number, Held>();
  readonly #stop = new AbortController();
  /** Rung when a deadline came that may be the earliest. */
  readonly #wakeup = new Wakeup();
  #granting = 0;
  #watching: Promise<void> | undefined;

  constructor(parts: LeaseParts) {
    this.#parts = parts;
    for (const [id, ttlSeconds] of parts.found) this.#hold(id, ttlSeconds);
  }

  async grant(ttlSeconds: number): Promise<number> {
    this.#parts.assertOpen();
    checkTtl(ttlSeconds);
    if (this.#held.size + this.#granting >= LEASES_MAX) throw tooMany();
    const id = this.#newId();
    this.#granting += 1;
    try {
      await this.#parts.writer.submit(grantJob(id, ttlSeconds));
    } finally {
      this.#granting -= 1;
    }
    this.#hold(id, ttlSeconds);
    return id;
  }

  async keepAlive(id: number): Promise<number> {
    this.#parts.assertOpen();
    const held = this.#held.get(id);
    if (!held || held.ended) throw leaseNotFound(id);
    held.deadlineMs = this.#nowMs() + held.ttlSeconds * 1000;
    return held.ttlSeconds;
  }

  async revoke(id: number): Promise<number | undefined> {
    this.#parts.assertOpen();
    if (!this.#held.has(id)) throw leaseNotFound(id);
    const keys = readMembers(this.#parts.backend, id).length;
    const { revision, changed } = await this.#parts.writer.submit(revokeJob(id, keys));
    this.#held.delete(id);
    return changed ? revision : undefined;
  }

  async timeToLive(id: number): Promise<LeaseStatus & { readonly keys: readonly string[] }> {
    this.#parts.assertOpen();
    const held = this.#held.get(id);
    if (!held) throw leaseNotFound(id);
    return { ...this.#status(id, held), keys: readMembers(this.#parts.backend, id) };
  }

  async list(): Promise<readonly LeaseStatus[]> {
    this.#parts.assertOpen();
    return [...this.#held]
      .map(([id, held]) => this.#status(id, held))
      .toSorted((a, b) => a.id - b.id);
  }

  /** After a commit of unknown outcome: what the store holds now is what there is. */
  recheck(): void {
    const grants = readGrants(this.#parts.backend);
    for (const id of this.#held.keys()) if (!grants.has(id)) this.#held.delete(id);
    for (const [id, ttlSeconds] of grants) if (!this.#held.has(id)) this.#hold(id, ttlSeconds);
  }

  /** Resolves when nothing is at work any more; the writer has to be closing. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #hold(id: number, ttlSeconds: number): void {
    const deadlineMs = this.#nowMs() + ttlSeconds * 1000;
    this.#held.set(id, { ttlSeconds, deadlineMs, ended: false });
    this.#wakeup.ring();
    this.#watching ??= this.#watchDeadlines();
  }

  /** Runs while there are leases. */
  async #watchDeadlines(): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    while (this.#held.size > 0 && !signal.aborted) {
      const seenMs = this.#nowMs();
      const due = this.#dueAt(seenMs);
      if (due.length > 0) {
        await this.#runOnTime();
        await this.#endAll(due.filter((id) => (this.#held.get(id)?.deadlineMs ?? 0) <= seenMs));
      } else await this.#wakeup.wait(this.#earliestMs() - seenMs, clock, signal);
    }
    // In the same turn as the check above, or a lease could come between and never end.
    this.#watching = undefined;
  }

  /** See STALLS. */
  async #runOnTime(): Promise<void> {
    const { signal } = this.#stop;
    for (let lateMs = Infinity; lateMs > LEASE_CONFIRM_MS && !signal.aborted;) {
      const wakeMs = this.#nowMs() + LEASE_CONFIRM_MS;
      await this.#parts.clock.sleep(LEASE_CONFIRM_MS, signal);
      lateMs = this.#nowMs() - wakeMs;
    }
  }

  async #endAll(ids: readonly number[]): Promise<void> {
    for (let i = 0; i < ids.length && !this.#stop.signal.aborted; i += LEASE_ENDS_AT_ONCE) {
      await Promise.all(ids.slice(i, i + LEASE_ENDS_AT_ONCE).map((id) => this.#end(id)));
    }
  }

  /** Its time is over. Where the write fails it stays ended, and due again a little later. */
  async #end(id: number): Promise<void> {
    const held = this.#held.get(id);
    if (!held) return;
    held.ended = true;
    try {
      await this.revoke(id);
    } catch (thrown) {
      if (thrown instanceof HoldfastError && thrown.code === 'NotFound') this.#held.delete(id);
      held.deadlineMs = this.#nowMs() + LEASE_RETRY_MS;
    }
  }

  #dueAt(nowMs: number): number[] {
    return [...this.#held].filter(([, held]) => held.deadlineMs <= nowMs).map(([id]) => id);
  }

  #earliestMs(): number {
    let earliestMs = Infinity;
    for (const { deadlineMs } of this.#held.values()) earliestMs = Math.min(earliestMs, deadlineMs);
    return earliestMs;
  }

  #status(id: number, { ttlSeconds, deadlineMs, ended }: Held): LeaseStatus {
    const remainingMs = ended ? 0 : Math.max(0, deadlineMs - this.#nowMs());
    return { id, ttlSeconds, remainingMs };
  }

  #newId(): number {
    for (;;) {
      const id = randomInt(1, ID_BEFORE);
      if (!this.#held.has(id)) return id;
    }
  }

  #nowMs(): number {
    return this.#parts.clock.monoMs();
  }
}

function checkTtl(ttlSeconds: number): void {
  const inRange = ttlSeconds >= LEASE_TTL_SECONDS_MIN && ttlSeconds <= LEASE_TTL_SECONDS_MAX;
  if (Number.isInteger(ttlSeconds) && inRange) return;
  throw new HoldfastError(
    'InvalidArgument',
    `a time to live of ${String(ttlSeconds)} s is not a whole number from ` +
      `${LEASE_TTL_SECONDS_MIN} to ${LEASE_TTL_SECONDS_MAX}`,
    { hint: 'a few times the period of the keep-alives: 10 s is common' },
  );
}

function tooMany(): HoldfastError {
  return new HoldfastError('Unavailable', `there are ${LEASES_MAX} leases, no more are allowed`, {
    hint: 'put several keys under one lease, or revoke those nobody needs',
  });
}
