import type { Clock } from '../../../base/clock.ts';
import { toHoldfastError } from '../../../base/errors.ts';
import { Wakeup } from '../../../base/wakeup.ts';
import type { Agent, AgentEvent } from '../../agent.ts';
import type { Link } from './link.ts';
import type { FeedTimes } from './times.ts';

/** Events read and in flight at a time: what a crash or a lost connection may deliver twice. */
const AT_ONCE_MAX = 16;
/** The broker drops an event that nobody took for so long: a subscriber that returns isn't flooded. */
const EXPIRY_SECONDS = 24 * 3600;
/** Steps over the ring to find its end, at the very first start only. */
const PAGE_MAX = 500;
const KEY = 'mqtt/ack';

export interface EventStreamParts {
  readonly agent: Agent;
  readonly clock: Clock;
  readonly times: FeedTimes;
}

/**
 * The agent's events in their order, from the ring. `mqtt/ack` in the engine holds the number of the last
 * one that a broker took, as text; it is saved after it, so a crash repeats some and leaves none out.
 */
export class EventStream {
  readonly #parts: EventStreamParts;
  readonly #wakeup = new Wakeup();
  #acked = 0;
  #saved = 0;
  #savedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: EventStreamParts) {
    this.#parts = parts;
  }

  /** There may be new ones. */
  ring(): void {
    this.#wakeup.ring();
  }

  /**
   * Where the last run stopped. The first run ever begins behind what is in the ring: what happened
   * before anybody asked for the feed is not news. It notes that at once, so that what happens from
   * here on is told even if the broker answers only after the next start.
   */
  async load(): Promise<void> {
    const { engine, events } = this.#parts.agent;
    const kv = await engine.get(KEY);
    const acked = kv && Number(Buffer.from(kv.value).toString('utf8'));
    if (acked === undefined || !Number.isSafeInteger(acked)) {
      this.#acked = await this.#lastInRing();
      return this.#save();
    }
    // A ring that doesn't reach to where we were was emptied: its numbers began again.
    const known = acked === 0 || (await events.after(acked - 1, 1)).length > 0;
    this.#acked = known ? acked : 0;
    this.#saved = this.#acked;
  }

  /** Sends what there is. @throws what `Link.publish` and the engine do */
  async drain(link: Link, topic: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const events = await this.#parts.agent.events.after(this.#acked, AT_ONCE_MAX);
      const last = events.at(-1);
      if (!last || signal.aborted) return;
      await Promise.all(events.map((event) => publish(link, topic, event)));
      this.#acked = last.seq;
      if (this.#saveDueMs() === 0) await this.#save();
    }
  }

  /** Sends what happens, until the signal aborts. */
  async follow(link: Link, topic: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.drain(link, topic, signal);
      await this.#wakeup.wait(this.#saveDueMs(), this.#parts.clock, signal);
      if (this.#saveDueMs() === 0) await this.#save();
    }
  }

  async saveNow(): Promise<void> {
    if (this.#acked !== this.#saved) await this.#save();
  }

  /** Undefined when there is nothing to save: idle, nothing is written. */
  #saveDueMs(): number | undefined {
    if (this.#acked === this.#saved) return undefined;
    const { clock, times } = this.#parts;
    return Math.max(0, this.#savedAtMs + times.ackSaveIntervalMs - clock.monoMs());
  }

  async #save(): Promise<void> {
    const acked = this.#acked;
    this.#savedAtMs = this.#parts.clock.monoMs();
    await this.#parts.agent.engine.put(KEY, Buffer.from(String(acked)));
    this.#saved = acked;
  }

  async #lastInRing(): Promise<number> {
    let last = 0;
    for (;;) {
      const page = await this.#parts.agent.events.after(last, PAGE_MAX);
      last = page.at(-1)?.seq ?? last;
      if (page.length < PAGE_MAX) return last;
    }
  }
}

async function publish(link: Link, topic: string, event: AgentEvent): Promise<void> {
  try {
    const options = { retain: false, expirySeconds: EXPIRY_SECONDS };
    await link.publish(topic, JSON.stringify(event), options);
  } catch (thrown) {
    // It will never fit: the gap in the numbers shows it, and the others go on.
    if (toHoldfastError(thrown).code !== 'TooLarge') throw thrown;
  }
}
