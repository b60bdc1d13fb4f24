import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import { HoldfastError, messageOf } from '../../../base/errors.ts';
import { systemClock } from '../../../base/clock.ts';

/** TCP, TLS and CONNACK together: a broker over a bad mobile link needs a few seconds. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A broker that answers pings but no publishes for so long is not one to wait for. */
const ACK_TIMEOUT_MS = 30_000;
/** Publishes without their PUBACK: this, or the broker's Receive Maximum if less, bounds our memory. */
const IN_FLIGHT_MAX = 16;
/** Reason codes of MQTT 5 (section 2.4). */
const BAD_CREDENTIALS = 134;
const NOT_AUTHORIZED = 135;
const TAKEN_OVER = 142;

export interface LinkOptions {
  readonly url: string;
  /** Stable over restarts: a takeover fires the old session's will before our birth, never after it. */
  readonly clientId: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates (PEM) that may have signed the broker's. */
  readonly ca?: string | undefined;
  readonly keepaliveSeconds: number;
  readonly will: { readonly topic: string; readonly payload: string };
  /** How long the broker waits for our return before it publishes the will. */
  readonly willDelaySeconds: number;
  /** The session's life after a loss; caps the will delay. */
  readonly sessionExpirySeconds: number;
}

export interface PublishOptions {
  readonly retain: boolean;
  /** The broker drops it for subscribers that come later than this. */
  readonly expirySeconds?: number;
}

export type OnMessage = (topic: string, payload: Buffer) => void;

/**
 * Connects once; no retry, no queue.
 * @throws NotReachable (no answer, garbage, TLS), PermissionDenied (bad credentials), DeadlineExceeded, Cancelled
 */
export async function openLink(options: LinkOptions, signal: AbortSignal): Promise<Link> {
  const { connect } = await import('mqtt');
  const where = options.url;
  if (signal.aborted) throw new HoldfastError('Cancelled', `${where}: stopped before connecting`);
  const client = connect(options.url, clientOptions(options));
  const late = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.on('error', (thrown) => reject(refusal(where, thrown)));
      client.once('close', () => {
        reject(
          new HoldfastError('NotReachable', `${where}: closed the connection before answering`),
        );
      });
      signal.addEventListener(
        'abort',
        () => reject(new HoldfastError('Cancelled', `${where}: stopped while connecting`)),
        { signal: late.signal },
      );
      void systemClock.sleep(CONNECT_TIMEOUT_MS, late.signal).then(() => {
        const message = `${where}: no answer within ${CONNECT_TIMEOUT_MS / 1000} s`;
        reject(new HoldfastError('DeadlineExceeded', message));
      });
    });
    return new Link(client, where);
  } catch (thrown) {
    client.end(true);
    throw thrown;
  } finally {
    late.abort();
  }
}

function clientOptions(options: LinkOptions): IClientOptions {
  const { clientId, username, password, ca, keepaliveSeconds, will } = options;
  return {
    protocolVersion: 5,
    clientId,
    clean: false,
    keepalive: keepaliveSeconds,
    // Measured: its offline store loses what is over 65,535 packets and its queue has no bound.
    queueQoSZero: false,
    reconnectPeriod: 0,
    resubscribe: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    properties: { sessionExpiryInterval: options.sessionExpirySeconds },
    will: {
      topic: will.topic,
      payload: Buffer.from(will.payload),
      qos: 1,
      retain: true,
      properties: { willDelayInterval: options.willDelaySeconds, contentType: 'application/json' },
    },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** One connection from its CONNACK to its end. */
export class Link {
  /** Resolves with the reason when the connection is gone, however it went. */
  readonly closed: Promise<HoldfastError>;
  readonly #client: MqttClient;
  readonly #where: string;
  readonly #slots: Slots;
  readonly #packetBytesMax: number;

  constructor(client: MqttClient, where: string) {
    this.#client = client;
    this.#where = where;
    const { receiveMaximum, maximumPacketSize } = client.serverProperties ?? {};
    this.#slots = new Slots(Math.min(IN_FLIGHT_MAX, receiveMaximum ?? IN_FLIGHT_MAX));
    this.#packetBytesMax = maximumPacketSize ?? Number.POSITIVE_INFINITY;
    this.closed = new Promise((resolve) => {
      client.on('error', (thrown) => resolve(lost(where, messageOf(thrown))));
      client.on('disconnect', ({ reasonCode, properties }) => {
        resolve(farewell(where, reasonCode ?? 0, properties?.reasonString));
      });
      client.on('close', () => resolve(lost(where, 'the connection was lost')));
    });
    client.on('error', () => client.end(true));
  }

  /**
   * Resolves on PUBACK: the broker has it.
   * @throws PermissionDenied when the broker refused this topic; TooLarge; NotReachable
   */
  async publish(topic: string, payload: string, options: PublishOptions): Promise<void> {
    const bytes = Buffer.from(payload);
    if (bytes.length + topic.length + 256 > this.#packetBytesMax) {
      const message = `${topic}: ${bytes.length} bytes, the broker takes packets of ${this.#packetBytesMax}`;
      throw new HoldfastError('TooLarge', message);
    }
    await this.#alive(this.#slots.take());
    try {
      await this.#alive(this.#send(topic, bytes, options));
    } finally {
      this.#slots.give();
    }
  }

  /**
   * Subscribes at QoS 0 (nothing piles up at the broker while we are away) and hears what is retained.
   * @throws NotReachable, PermissionDenied
   */
  async subscribe(filter: string, noLocal: boolean): Promise<void> {
    const answered = this.#client
      .subscribeAsync(filter, { qos: 0, nl: noLocal, rap: true, rh: 0 })
      .catch((thrown: unknown) => {
        throw new HoldfastError('PermissionDenied', `${filter}: ${messageOf(thrown)}`, {
          cause: thrown,
        });
      });
    await this.#alive(answered);
  }

  onMessage(listener: OnMessage): void {
    this.#client.on('message', (topic: string, payload: Buffer, _packet: IPublishPacket) => {
      listener(topic, payload);
    });
  }

  /** DISCONNECT, so that the will is dropped; the session with it. Waits for nothing beyond `deadlineMs`. */
  async end(deadlineMs: number): Promise<void> {
    const late = new AbortController();
    const goodbye = { reasonCode: 0, properties: { sessionExpiryInterval: 0 } };
    await Promise.race([
      this.#client.endAsync(false, goodbye),
      this.closed,
      systemClock.sleep(deadlineMs, late.signal),
    ]);
    late.abort();
    this.destroy();
  }

  /** Without a word: the broker will publish the will after its delay. */
  destroy(): void {
    this.#client.end(true);
    this.#client.stream.destroy();
  }

  #send(topic: string, bytes: Buffer, { retain, expirySeconds }: PublishOptions): Promise<void> {
    const properties = {
      contentType: 'application/json',
      ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
    };
    return this.#client.publishAsync(topic, bytes, { qos: 1, retain, properties }).then(
      () => undefined,
      (thrown: unknown) => {
        const message = `${this.#where} refused ${topic}: ${messageOf(thrown)}`;
        const hint =
          "let this client write below <root>/<replica id>/ in the broker's access rules";
        throw new HoldfastError('PermissionDenied', message, { cause: thrown, hint });
      },
    );
  }

  /** mqtt.js never settles what was in flight when a connection went: its end does. */
  async #alive<T>(work: Promise<T>): Promise<T> {
    const late = new AbortController();
    const gone = this.closed.then((reason) => Promise.reject(reason));
    const stuck = systemClock.sleep(ACK_TIMEOUT_MS, late.signal).then(() => {
      const message = `${this.#where}: no acknowledgement within ${ACK_TIMEOUT_MS / 1000} s`;
      if (!late.signal.aborted) this.destroy();
      throw new HoldfastError('DeadlineExceeded', message);
    });
    stuck.catch(() => undefined);
    try {
      return await Promise.race([work, gone, stuck]);
    } finally {
      late.abort();
    }
  }
}

/** Counted permission to have something in flight; waiters in order. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}

function refusal(where: string, thrown: Error): HoldfastError {
  const code: unknown = 'code' in thrown ? thrown.code : undefined;
  if (code === BAD_CREDENTIALS || code === NOT_AUTHORIZED) {
    return new HoldfastError('PermissionDenied', `${where}: ${thrown.message}`, {
      cause: thrown,
      hint: 'check mqtt.username and mqtt.passwordFile',
      retry: 'later',
    });
  }
  return lost(where, thrown.message === '' ? String(code ?? 'no answer') : thrown.message, thrown);
}

function lost(where: string, message: string, cause?: unknown): HoldfastError {
  return new HoldfastError('NotReachable', `${where}: ${message}`, { cause });
}

function farewell(where: string, reasonCode: number, reason: string | undefined): HoldfastError {
  if (reasonCode === TAKEN_OVER) {
    return new HoldfastError('Conflict', `${where}: another client took over our session`, {
      hint: 'two agents have one replica id: was a state folder copied to another host?',
    });
  }
  return lost(where, `the broker said goodbye, reason ${reasonCode}${reason ? `: ${reason}` : ''}`);
}
