import { together, untilAborted } from '../../../base/abort.ts';
import { Backoff } from '../../../base/backoff.ts';
import { systemClock, type Clock } from '../../../base/clock.ts';
import { toHoldfastError, type ErrorCode, type HoldfastError } from '../../../base/errors.ts';
import type { ChangeSet } from '../../../engine/index.ts';
import type { Agent } from '../../agent.ts';
import type { MqttConfig } from '../../config/index.ts';
import type { Service } from '../../service.ts';
import { Documents } from './documents.ts';
import { EventStream } from './event-stream.ts';
import { openLink, type Link } from './link.ts';
import { lostPayload, stoppingPayload } from './payloads.ts';
import { takenOver } from './reason.ts';
import { FEED_TIMES, type FeedTimes } from './times.ts';
import { isThing, Topics } from './topics.ts';

/**
 * `connected`: the broker has every document and event. `offline`: it doesn't answer, or not for long;
 * the feed tries again. `refused`: it says no, and a person has to act; the feed asks again, slowly.
 */
export type FeedState = 'connecting' | 'connected' | 'offline' | 'refused' | 'stopped';

export interface FeedStateChange {
  readonly from: FeedState;
  readonly to: FeedState;
  /** With `offline` and `refused`. */
  readonly error?: HoldfastError;
}

export interface MqttFeedOptions {
  readonly agent: Agent;
  readonly config: MqttConfig;
  /** Both are asked at each connection, so that a new password needs no restart. @throws ConfigInvalid */
  readPassword(): Promise<string | undefined>;
  readCa(): Promise<string | undefined>;
  /** Once per change, and when what is refused is refused for another reason. Must not throw. */
  onState(change: FeedStateChange): void;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** For tests. */
  readonly times?: Partial<FeedTimes> | undefined;
}

/** What the way to the broker and the broker itself fail with; anything else is a bug or the engine's. */
const BROKER_CODES: Partial<Record<ErrorCode, 'offline' | 'refused'>> = {
  NotReachable: 'offline',
  DeadlineExceeded: 'offline',
  PermissionDenied: 'refused',
  NotSupported: 'refused',
  TooLarge: 'refused',
  Conflict: 'refused',
  ConfigInvalid: 'refused',
};

/**
 * Times that another run may say our `state` before we give way to it. Once may be a broker that was
 * restored from yesterday; a second time somebody wrote it after us. Many brokers don't tell of a takeover.
 */
const OTHER_RUNS_MAX = 2;

/** Keeps a broker told. Nothing waits for it, and nothing is kept for a broker that isn't there. */
export class MqttFeed implements Service {
  readonly id = 'mqtt';
  readonly #options: MqttFeedOptions;
  readonly #agent: Agent;
  readonly #topics: Topics;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #times: FeedTimes;
  readonly #backoff: Backoff;
  readonly #events: EventStream;
  /** Of the connection there is. */
  #documents: Documents | undefined;
  #state: FeedState = 'stopped';
  #refusal: string | undefined;
  /** This run's `state` was at the broker: what else is there now came after it. */
  #spoke = false;
  #otherRuns = 0;

  constructor(options: MqttFeedOptions) {
    const { agent, config } = options;
    this.#options = options;
    this.#agent = agent;
    this.#topics = new Topics(config.root, agent.identity.replicaId);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#times = { ...FEED_TIMES, ...options.times };
    const { backoffFirstMs, backoffMaxMs } = this.#times;
    this.#backoff = new Backoff(backoffFirstMs, backoffMaxMs, this.#random);
    this.#events = new EventStream({ agent, clock: this.#clock, times: this.#times });
  }

  /** Until the signal aborts. A broker never makes it reject; a failing engine does. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#events.load();
    this.#setState('connecting');
    const unsubscribe = this.#agent.subscribe((part) => this.#documents?.mark(part));
    try {
      await together(signal, [
        (inner) => this.#watchThings('devices', inner),
        (inner) => this.#watchThings('volumes', inner),
        (inner) => this.#watchEvents(inner),
        (inner) => this.#keepConnected(inner),
      ]);
    } finally {
      unsubscribe();
      // Best effort: without it the next run sends a few events twice.
      await this.#events.saveNow().catch(() => undefined);
      this.#setState('stopped');
    }
  }

  async #keepConnected(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedAtMs = this.#clock.monoMs();
      try {
        await this.#connectOnce(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toHoldfastError(thrown);
        const outcome = BROKER_CODES[error.code];
        if (outcome === undefined) throw error;
        this.#setState(outcome, error);
        const lastedMs = this.#clock.monoMs() - startedAtMs;
        if (lastedMs > this.#times.healthyAfterMs) {
          this.#backoff.reset();
          this.#otherRuns = 0;
        }
        await this.#clock.sleep(this.#waitMs(outcome), signal);
      }
    }
  }

  #waitMs(outcome: 'offline' | 'refused'): number {
    if (outcome === 'offline') return this.#backoff.next();
    return this.#times.refusedRetryMs * (0.5 + this.#random() / 2);
  }

  /** One connection, from its start to its end. */
  async #connectOnce(signal: AbortSignal): Promise<void> {
    const link = await this.#open(signal);
    const documents = new Documents({
      agent: this.#agent,
      link,
      topics: this.#topics,
      clock: this.#clock,
      times: this.#times,
      onAnotherRun: () => {
        if (this.#spoke) this.#otherRuns += 1;
        if (this.#otherRuns >= OTHER_RUNS_MAX) link.destroy(takenOver(this.#options.config.url));
      },
    });
    this.#documents = documents;
    link.onMessage((topic, payload) => {
      const document = this.#topics.document(topic);
      if (document) documents.heard(document, payload);
    });
    try {
      await together(signal, [
        (inner) => throwWhenClosed(link, inner),
        (inner) => this.#sayGoodbye(link, signal, inner),
        (inner) => this.#tell(link, documents, inner),
      ]);
    } finally {
      this.#documents = undefined;
      link.destroy();
    }
  }

  async #open(signal: AbortSignal): Promise<Link> {
    const { config, readPassword, readCa } = this.#options;
    const [password, ca] = await Promise.all([readPassword(), readCa()]);
    return openLink(
      {
        url: config.url,
        clientId: `holdfast-${this.#agent.identity.replicaId}`,
        username: config.username,
        password,
        ca,
        keepaliveSeconds: config.keepaliveSeconds,
        will: { topic: this.#topics.full('state'), payload: lostPayload(this.#agent) },
        willDelaySeconds: this.#times.willDelaySeconds,
        sessionExpirySeconds: this.#times.sessionExpirySeconds,
        connectTimeoutMs: this.#times.connectTimeoutMs,
        ackTimeoutMs: this.#times.ackTimeoutMs,
      },
      signal,
    );
  }

  /** Everything there is, then everything that changes. */
  async #tell(link: Link, documents: Documents, signal: AbortSignal): Promise<void> {
    const topics = this.#topics;
    // Not without our own: the broker counts a will of ours as such.
    await link.subscribe(topics.full('state'), false);
    await link.subscribe(topics.full('devices/+'), true);
    await link.subscribe(topics.full('volumes/+'), true);
    await documents.markAll();
    await documents.drain(signal);
    // Side by side: a change of state must not wait for a thousand old events.
    await together(signal, [
      (inner) => documents.follow(inner),
      (inner) => this.#tellEvents(link, inner),
    ]);
  }

  async #tellEvents(link: Link, signal: AbortSignal): Promise<void> {
    const topic = this.#topics.full('events');
    await this.#events.drain(link, topic, signal);
    if (signal.aborted) return;
    this.#spoke = true;
    this.#setState('connected');
    await this.#events.follow(link, topic, signal);
  }

  /** When the feed is stopped: the last word and a DISCONNECT, in order, or whatever the deadline allows. */
  async #sayGoodbye(link: Link, stopped: AbortSignal, ended: AbortSignal): Promise<void> {
    await untilAborted(ended);
    if (!stopped.aborted) return;
    const halfMs = this.#times.stopDeadlineMs / 2;
    const payload = stoppingPayload(this.#agent, new Date(this.#clock.wallMs()).toISOString());
    const told = link.publish(this.#topics.full('state'), payload, { retain: true });
    const late = new AbortController();
    await Promise.race([told.catch(() => undefined), this.#clock.sleep(halfMs, late.signal)]);
    late.abort();
    await link.end(halfMs);
  }

  #watchThings(prefix: 'devices' | 'volumes', signal: AbortSignal): Promise<void> {
    const seen = ({ changes }: ChangeSet): void => {
      for (const { kv } of changes) if (isThing(kv.key)) this.#documents?.mark(kv.key);
    };
    // Which ones changed is gone from the log: look at all of them.
    return this.#watch(prefix, signal, seen, async () => this.#documents?.markAll());
  }

  #watchEvents(signal: AbortSignal): Promise<void> {
    const ring = (): void => this.#events.ring();
    return this.#watch('events', signal, ring, ring);
  }

  async #watch(
    prefix: string,
    signal: AbortSignal,
    onChanges: (set: ChangeSet) => void,
    onMissed: () => void | Promise<void>,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const set of this.#agent.engine.watch(prefix, { signal })) onChanges(set);
      } catch (thrown) {
        if (toHoldfastError(thrown).code !== 'Compacted') throw thrown;
        await onMissed();
      }
    }
  }

  #setState(to: FeedState, error?: HoldfastError): void {
    const from = this.#state;
    // What was put right and is refused for another reason: the hint shown must be the one that helps.
    const refusal = to === 'refused' ? `${error?.code} ${error?.hint}` : undefined;
    if (from === to && refusal === this.#refusal) return;
    this.#state = to;
    this.#refusal = refusal;
    this.#options.onState({ from, to, ...(error === undefined ? {} : { error }) });
  }
}

async function throwWhenClosed(link: Link, signal: AbortSignal): Promise<void> {
  const reason = await Promise.race([link.closed, untilAborted(signal)]);
  if (reason) throw reason;
}
