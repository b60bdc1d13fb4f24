import { systemClock, type Clock } from '../base/clock.ts';
import { KiB } from '../base/bytes.ts';
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import type { Engine, KeyValue, Op } from '../engine/index.ts';
import type { AgentEvent, EventRing } from './agent.ts';

/** Events kept: weeks of a quiet host, and an hour of one with a flapping disk. */
const EVENTS_MAX = 1_000;
/** One event as JSON; what doesn't fit belongs in a document of its own. */
const EVENT_BYTES_MAX = 64 * KiB;
/** Appends that wait for the engine. A stalled disk must not fill memory with the tale of its stall. */
const PENDING_MAX = 1_000;
/** Events in one transaction: a host with many disks starts with a burst. */
const BATCH_MAX = 64;
/** Events trimmed with one append, so that a ring of an older, larger limit shrinks in steps. */
const TRIM_MAX = 100;
/** Digits of a key: all safe integers, so that key order is event order. */
const SEQ_DIGITS = 16;
const PREFIX = 'events';

export interface EngineEventRingOptions {
  readonly engine: Engine;
  readonly epoch: string;
  readonly clock?: Clock;
  /** Events kept; default 1,000. */
  readonly limit?: number;
}

type NewEvent = Omit<AgentEvent, 'seq' | 'at' | 'epoch'>;

interface Pending {
  readonly event: NewEvent;
  readonly at: string;
  readonly resolve: (event: AgentEvent) => void;
  readonly reject: (error: HoldfastError) => void;
}

/**
 * The last events as JSON at `events/<16 digits>`. Appending and trimming are one transaction, so the
 * ring is never larger than its limit and never has a hole; numbers go on where the engine's last
 * event stopped, over restarts. An append resolves when the event is durable.
 */
export class EngineEventRing implements EventRing {
  readonly #engine: Engine;
  readonly #epoch: string;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #pending: Pending[] = [];
  /** First and last number in the engine; undefined until it was asked. */
  #kept: { first: number; last: number } | undefined;
  #working = false;

  constructor(options: EngineEventRingOptions) {
    this.#engine = options.engine;
    this.#epoch = options.epoch;
    this.#clock = options.clock ?? systemClock;
    this.#limit = options.limit ?? EVENTS_MAX;
  }

  /** @throws TooLarge, Unavailable when too many wait already, and what the engine's txn throws */
  append(event: NewEvent): Promise<AgentEvent> {
    return new Promise((resolve, reject) => {
      if (this.#pending.length >= PENDING_MAX) {
        const message = `event ${event.type}: ${PENDING_MAX} others wait for the engine`;
        return reject(new HoldfastError('Unavailable', message));
      }
      const at = new Date(this.#clock.wallMs()).toISOString();
      const sizeBytes = Buffer.byteLength(JSON.stringify(event));
      if (sizeBytes > EVENT_BYTES_MAX) {
        const message = `event ${event.type}: ${sizeBytes} bytes, at most ${EVENT_BYTES_MAX}`;
        return reject(new HoldfastError('TooLarge', message));
      }
      this.#pending.push({ event, at, resolve, reject });
      if (!this.#working) void this.#work();
    });
  }

  async after(seq: number, limit: number): Promise<readonly AgentEvent[]> {
    const { kvs } = await this.#engine.list(PREFIX, { after: keyOf(Math.max(seq, 0)), limit });
    return kvs.map(decode);
  }

  async last(): Promise<number> {
    return (this.#kept ?? (await this.#recover())).last;
  }

  /** One transaction at a time, so that numbers are given in the order of the appends. */
  async #work(): Promise<void> {
    this.#working = true;
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, BATCH_MAX);
      try {
        const events = await this.#write(batch);
        for (const [index, { resolve }] of batch.entries()) resolve(events[index]!);
      } catch (thrown) {
        // What failed may still have been written: ask the engine again before the next number.
        this.#kept = undefined;
        for (const { reject } of batch) reject(toHoldfastError(thrown));
      }
    }
    this.#working = false;
  }

  async #write(batch: readonly Pending[]): Promise<AgentEvent[]> {
    const { first, last } = (this.#kept ??= await this.#recover());
    const events = batch.map(({ event, at }, index) => ({
      seq: last + 1 + index,
      at,
      epoch: this.#epoch,
      ...event,
    }));
    const newLast = last + events.length;
    // What this very batch adds is never trimmed with it: one key, one operation.
    const wanted = Math.max(first, newLast - this.#limit + 1);
    const newFirst = Math.min(wanted, first + TRIM_MAX, last + 1);
    const ops: Op[] = events.map((event) => ({
      type: 'put',
      key: keyOf(event.seq),
      value: Buffer.from(JSON.stringify(event)),
    }));
    for (let seq = first; seq < newFirst; seq += 1) {
      ops.push({ type: 'delete', key: keyOf(seq) });
    }
    await this.#engine.txn([{ key: keyOf(last + 1), modRevision: 0 }], ops);
    this.#kept = { first: newFirst, last: newLast };
    return events;
  }

  async #recover(): Promise<{ first: number; last: number }> {
    const { kvs } = await this.#engine.list(PREFIX);
    const first = kvs[0];
    const last = kvs.at(-1);
    return first && last
      ? { first: seqOf(first.key), last: seqOf(last.key) }
      : { first: 1, last: 0 };
  }
}

function keyOf(seq: number): string {
  return `${PREFIX}/${String(seq).padStart(SEQ_DIGITS, '0')}`;
}

function seqOf(key: string): number {
  return Number(key.slice(PREFIX.length + 1));
}

function decode(kv: KeyValue): AgentEvent {
  return JSON.parse(Buffer.from(kv.value).toString('utf8')) as AgentEvent;
}
