/** One place in the queue of a lock: a key under a lease that is kept alive until it is given back or lost. */
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { ChangeSet, Engine, KeyValue, Leases, ListResult, WatchOptions } from './engine.ts';

/** What a lock needs of an engine, so that it works over the agent's API too. */
export interface LockEngine extends Pick<Engine, 'txn'> {
  readonly leases: Pick<Leases, 'grant' | 'keepAlive' | 'revoke'>;
  list(prefix: string): Promise<ListResult>;
  watch(prefix: string, options: Pick<WatchOptions, 'from' | 'signal'>): AsyncIterable<ChangeSet>;
}

/** Of one time to live: two may be late or lost. */
const KEEP_ALIVES_PER_TTL = 3;
/** After one that failed: an engine that is away for a moment (an agent's restart) is met again in time. */
const RETRIES_PER_TTL = 20;

export interface TicketParts {
  readonly engine: LockEngine;
  readonly prefix: string;
  readonly ttlSeconds: number;
  readonly value: Uint8Array;
  readonly clock: Clock;
}

/** A ticket as the engine has it. */
interface Taken {
  readonly lease: number;
  readonly key: string;
  readonly revision: number;
  /** When its lease was asked for: its time began then at the earliest. */
  readonly askedMs: number;
}

export class Ticket {
  readonly key: string;
  /** Its place: lower ones come first. */
  readonly createRevision: number;
  readonly #parts: TicketParts;
  readonly #lease: number;
  readonly #lost = new AbortController();
  /** Aborted when it is given back, or lost: nothing tends it any more. */
  readonly #over = new AbortController();
  readonly #tending: Promise<unknown>;
  #modRevision: number;
  #returning: Promise<void> | undefined;

  /** Joins the queue's end. @throws what the engine does */
  static async take(parts: TicketParts): Promise<Ticket> {
    const { engine, clock, prefix, ttlSeconds, value } = parts;
    const askedMs = clock.monoMs();
    const lease = await engine.leases.grant(ttlSeconds);
    const key = ticketKey(prefix, lease);
    try {
      const put = { type: 'put', key, value, lease } as const;
      const revision = await engine.txn([{ key, modRevision: 0 }], [put]);
      return new Ticket(parts, { lease, key, revision, askedMs });
    } catch (thrown) {
      // Best effort: the lease ends by itself otherwise.
      await engine.leases.revoke(lease).catch(() => undefined);
      throw thrown;
    }
  }

  private constructor(parts: TicketParts, { lease, key, revision, askedMs }: Taken) {
    this.#parts = parts;
    this.#lease = lease;
    this.key = key;
    this.createRevision = revision;
    this.#modRevision = revision;
    this.#tending = Promise.all([this.#keepAlive(askedMs), this.#watch()]);
  }

  /** Aborts, with the reason, when the key is gone or can't be vouched for any more. Not by `giveBack`. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** @returns the revision of the change. @throws KeyModified, NotFound when it is lost */
  async setValue(value: Uint8Array): Promise<number> {
    const { key } = this;
    const put = { type: 'put', key, value, lease: this.#lease } as const;
    const condition = { key, modRevision: this.#modRevision };
    this.#modRevision = await this.#parts.engine.txn([condition], [put]);
    return this.#modRevision;
  }

  /** May be repeated; also after a failure, when the key stays until the lease ends. @throws NoSpace, Unavailable */
  giveBack(): Promise<void> {
    this.#returning ??= this.#end().catch((thrown: unknown) => {
      this.#returning = undefined;
      throw thrown;
    });
    return this.#returning;
  }

  async #end(): Promise<void> {
    this.#over.abort();
    await this.#tending;
    try {
      await this.#parts.engine.leases.revoke(this.#lease);
    } catch (thrown) {
      if (!hasCode(thrown, 'NotFound')) throw thrown;
    }
  }

  /** @param renewedMs when what began its lease's time was asked for, so what is counted on is never too much */
  async #keepAlive(renewedMs: number): Promise<void> {
    const { clock, ttlSeconds } = this.#parts;
    const { signal } = this.#over;
    const ttlMs = ttlSeconds * 1000;
    for (let endMs = renewedMs + ttlMs, perTtl = KEEP_ALIVES_PER_TTL; ;) {
      await clock.sleep(Math.min(ttlMs / perTtl, endMs - clock.monoMs()), signal);
      if (signal.aborted) return;
      const askedMs = clock.monoMs();
      const failure = await this.#renew(endMs - askedMs);
      if (signal.aborted) return;
      perTtl = failure ? RETRIES_PER_TTL : KEEP_ALIVES_PER_TTL;
      if (!failure) endMs = askedMs + ttlMs;
      // Unreachable for less than the time to live, it is still ours.
      else if (clock.monoMs() >= endMs || hasCode(failure, 'NotFound')) return this.#lose(failure);
    }
  }

  /** @returns what went wrong; an answer that takes longer than `leftMs` comes too late, so it isn't waited for */
  async #renew(leftMs: number): Promise<HoldfastError | undefined> {
    const { engine, clock } = this.#parts;
    const inTime = new AbortController();
    const onOver = (): void => inTime.abort();
    this.#over.signal.addEventListener('abort', onOver);
    const late = clock.sleep(leftMs, inTime.signal).then(() => {
      const message = `no answer to the keep-alive of lease ${this.#lease} while it lasted`;
      return new HoldfastError('DeadlineExceeded', message);
    });
    const answer = engine.leases.keepAlive(this.#lease).then(() => undefined, toHoldfastError);
    try {
      return await Promise.race([answer, late]);
    } finally {
      inTime.abort();
      this.#over.signal.removeEventListener('abort', onOver);
    }
  }

  async #watch(): Promise<void> {
    try {
      await untilGone(this.#parts.engine, this.key, this.#over.signal);
      this.#lose(new HoldfastError('Conflict', `${this.key} was deleted, or its lease has ended`));
    } catch (thrown) {
      this.#lose(toHoldfastError(thrown));
    }
  }

  #lose(reason: HoldfastError): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#lost.abort(reason);
  }
}

/** One level deeper than needed: a watch names a prefix, and this one has a single key under it. */
function ticketKey(prefix: string, lease: number): string {
  return `${prefix}/${lease.toString(16)}/ticket`;
}

const TICKET = /^[0-9a-f]+\/ticket$/;

/** Who is in the queue, the first one first. */
export function inOrder(prefix: string, kvs: Iterable<KeyValue>): KeyValue[] {
  return [...kvs]
    .filter((kv) => TICKET.test(kv.key.slice(prefix.length + 1)))
    .toSorted((a, b) => a.createRevision - b.createRevision);
}

/** Resolves when the key is deleted, wasn't there, or the signal aborts. @throws Unavailable, Corrupt */
export async function untilGone(
  engine: LockEngine,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const parent = key.slice(0, key.lastIndexOf('/'));
  for (;;) {
    const { kvs, revision } = await engine.list(parent);
    if (!kvs.some((kv) => kv.key === key)) return;
    try {
      for await (const { changes } of engine.watch(parent, { from: revision + 1, signal })) {
        if (changes.some(({ type, kv }) => type === 'delete' && kv.key === key)) return;
      }
      return;
    } catch (thrown) {
      if (!hasCode(thrown, 'Compacted')) throw thrown;
    }
  }
}

function hasCode(thrown: unknown, code: HoldfastError['code']): boolean {
  return thrown instanceof HoldfastError && thrown.code === code;
}
