import { createHash } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { Wakeup } from '../../../base/wakeup.ts';
import type { Agent } from '../../agent.ts';
import type { Link } from './link.ts';
import { documentTopics, isAnotherRuns, renderDocument } from './payloads.ts';
import type { FeedTimes } from './times.ts';
import { isThing, type DocumentTopic, type Topics } from './topics.ts';

/** Documents rendered and sent at a time. */
const AT_ONCE_MAX = 16;
/** Hashes kept, 1 MB of them. A host with more things than this publishes the rest without comparing. */
const SENT_MAX = 10_000;
/** Strange topics to be cleared at a time; what is over it is heard of again at the next connection. */
const STRANGERS_MAX = 1_000;

export interface DocumentsParts {
  readonly agent: Agent;
  readonly link: Link;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly times: FeedTimes;
  /** Another run of this agent's name said something as `state`. */
  onAnotherRun(): void;
}

/**
 * The retained documents over one connection: a dirty bit each, the payload rendered when it is sent,
 * so that only the last value ever is.
 */
export class Documents {
  readonly #parts: DocumentsParts;
  readonly #dirty = new Set<DocumentTopic>();
  /** What this connection has last sent of each. */
  readonly #sent = new Map<DocumentTopic, { readonly digest: string; readonly atMs: number }>();
  readonly #wakeup = new Wakeup();

  constructor(parts: DocumentsParts) {
    this.#parts = parts;
  }

  mark(topic: DocumentTopic): void {
    this.#dirty.add(topic);
    this.#wakeup.ring();
  }

  /** All there are: brokers lose what they retained. Also when changes were missed. */
  async markAll(): Promise<void> {
    for (const topic of await documentTopics(this.#parts.agent)) this.mark(topic);
    // And what was sent but is gone since.
    for (const topic of this.#sent.keys()) this.mark(topic);
  }

  /** Somebody published it, or the broker had it retained: is it as we left it? */
  heard(topic: DocumentTopic, payload: Buffer): void {
    if (topic === 'state') {
      // An old will that comes after our birth would say `lost` of an agent that is alive.
      const sent = this.#sent.get(topic);
      if (sent?.digest === digestOf(payload)) return;
      // Its time stays: two that contradict each other must not become a storm.
      if (sent) this.#sent.set(topic, { ...sent, digest: '' });
      this.mark(topic);
      if (isAnotherRuns(payload, this.#parts.agent)) this.#parts.onAnotherRun();
      return;
    }
    // A thing that was removed while we were away: rendered, it is empty, which clears it.
    const known = this.#sent.has(topic) || this.#dirty.has(topic);
    const strange = isThing(topic) && payload.length > 0 && !known;
    if (strange && this.#dirty.size < STRANGERS_MAX) this.mark(topic);
  }

  /** Sends what is due, until nothing is. @throws what `Link.publish` and the engine do */
  async drain(signal: AbortSignal): Promise<void> {
    for (;;) {
      const topics = this.#takeDue();
      if (topics.length === 0 || signal.aborted) return;
      await Promise.all(topics.map((topic) => this.#publish(topic, signal)));
    }
  }

  /** Sends what changes, until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.drain(signal);
      await this.#wakeup.wait(this.#nextDueMs(), this.#parts.clock, signal);
    }
  }

  async #publish(topic: DocumentTopic, signal: AbortSignal): Promise<void> {
    const { agent, link, topics, clock } = this.#parts;
    const payload = await renderDocument(agent, topic);
    // The last word on the way out is `stopping`, not what was rendered before it.
    if (signal.aborted) return;
    const digest = digestOf(payload);
    const unchanged = this.#sent.get(topic)?.digest === digest;
    if (this.#sent.size < SENT_MAX || this.#sent.has(topic)) {
      this.#sent.set(topic, { digest, atMs: clock.monoMs() });
    }
    if (unchanged) return;
    await link.publish(topics.full(topic), payload, { retain: true });
    if (payload === '') this.#sent.delete(topic);
  }

  /** `state` before all others: it must not wait for a thousand devices. */
  #takeDue(): DocumentTopic[] {
    const nowMs = this.#parts.clock.monoMs();
    const due: DocumentTopic[] = [];
    if (this.#dirty.has('state') && this.#dueAtMs('state') <= nowMs) due.push('state');
    for (const topic of this.#dirty) {
      if (due.length >= AT_ONCE_MAX) break;
      if (topic !== 'state' && this.#dueAtMs(topic) <= nowMs) due.push(topic);
    }
    for (const topic of due) this.#dirty.delete(topic);
    return due;
  }

  #nextDueMs(): number | undefined {
    if (this.#dirty.size === 0) return undefined;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const topic of this.#dirty) nextMs = Math.min(nextMs, this.#dueAtMs(topic));
    return Math.max(0, nextMs - this.#parts.clock.monoMs());
  }

  #dueAtMs(topic: DocumentTopic): number {
    const { documentIntervalMs, syncIntervalMs } = this.#parts.times;
    const sent = this.#sent.get(topic);
    if (!sent) return Number.NEGATIVE_INFINITY;
    return sent.atMs + (topic === 'sync' ? syncIntervalMs : documentIntervalMs);
  }
}

function digestOf(payload: string | Buffer): string {
  return createHash('sha256').update(payload).digest('base64');
}
