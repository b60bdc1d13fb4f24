import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import { KiB } from '../../../base/bytes.ts';
import { systemClock } from '../../../base/clock.ts';
import { HoldfastError, messageOf } from '../../../base/errors.ts';
import { farewell, isAnswer, lost, refusal } from './reason.ts';

/** Publishes without their PUBACK: this, or the broker's Receive Maximum if less, bounds our memory. */
const IN_FLIGHT_MAX = 16;
/** What we ask the broker not to exceed (Maximum Packet Size); our own documents are far below it. */
const PACKET_BYTES_MAX = 256 * KiB;
/** Bytes without a packet in them until it isn't MQTT: a packet, and what the stream had buffered. */
const UNPARSED_BYTES_MAX = 2 * PACKET_BYTES_MAX;

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
  readonly connectTimeoutMs: number;
  /** How long a PUBACK or SUBACK may take. */
  readonly ackTimeoutMs: number;
}

export interface PublishOptions {
  readonly retain: boolean;
  /** The broker drops it for subscribers that come later than this. */
  readonly expirySeconds?: number;
}

export type OnMessage = (topic: string, payload: Buffer) => void;

/**
 * Connects once; no retry, no queue.
 * @throws NotReachable (no answer, garbage, TLS, busy), PermissionDenied (credentials, access rules),
 *   NotSupported (not MQTT 5, no retained messages), DeadlineExceeded, Cancelled
 */
export async function openLink(options: LinkOptions, signal: AbortSignal): Promise<Link> {
  const { connect } = await import('mqtt');
  const where = options.url;
  if (signal.aborted) throw new HoldfastError('Cancelled', `${where}: stopped before connecting`);
  const client = connect(options.url, clientOptions(options));
  guardParser(client);
  const late = new AbortController();
  try {
    return await new Promise<Link>((resolve, reject) => {
      // Made here and not after it: a goodbye may come in the same segment as the CONNACK.
      client.once('connect', () => resolve(new Link(client, where, options.ackTimeoutMs)));
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
      void systemClock.sleep(options.connectTimeoutMs, late.signal).then(() => {
        const message = `${where}: no answer within ${options.connectTimeoutMs / 1000} s`;
        reject(new HoldfastError('DeadlineExceeded', message));
      });
    });
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
    // Measured: its cache of encoded 16-bit numbers is 65,536 Buffers, 10 MB that an idle agent keeps.
    writeCache: false,
    reconnectPeriod: 0,
    resubscribe: false,
    connectTimeout: options.connectTimeoutMs,
    properties: {
      sessionExpiryInterval: options.sessionExpirySeconds,
      maximumPacketSize: PACKET_BYTES_MAX,
    },
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

/**
 * The library's parser collects a packet of up to 256 MiB before it looks at it: a server that isn't a
 * broker could fill our memory.
 */
function guardParser(client: MqttClient): void {
  let unparsedBytes = 0;
  client.on('packetreceive', () => {
    unparsedBytes = 0;
  });
  client.stream.on('data', (chunk: Buffer) => {
    unparsedBytes += chunk.length;
    if (unparsedBytes <= UNPARSED_BYTES_MAX) return;
    client.emit('error', new Error(`${unparsedBytes} bytes came and no MQTT packet in them`));
    client.stream.destroy();
  });
}

/** One connection from its CONNACK to its end. */
export class Link {
  /** Resolves with the reason when the connection is gone, however it went. */
  readonly closed: Promise<HoldfastError>;
  readonly #client: MqttClient;
  readonly #where: string;
  readonly #slots: Slots;
  readonly #packetBytesMax: number;
  readonly #ackTimeoutMs: number;
  /** Whoever waits for an answer, to be told that none will come. */
  readonly #waiting = new Set<(reason: HoldfastError) => void>();
  #gone: HoldfastError | undefined;

  constructor(client: MqttClient, where: string, ackTimeoutMs: number) {
    this.#client = client;
    this.#where = where;
    this.#ackTimeoutMs = ackTimeoutMs;
    const { receiveMaximum, maximumPacketSize } = client.serverProperties ?? {};
    this.#slots = new Slots(Math.min(IN_FLIGHT_MAX, receiveMaximum ?? IN_FLIGHT_MAX));
    this.#packetBytesMax = maximumPacketSize ?? Number.POSITIVE_INFINITY;
    this.closed = new Promise((resolve) => {
      const close = (reason: HoldfastError): void => {
        this.#gone ??= reason;
        for (const reject of this.#waiting) reject(this.#gone);
        resolve(this.#gone);
      };
      client.on('error', (thrown) => close(lost(where, messageOf(thrown), thrown)));
      client.on('disconnect', ({ reasonCode, properties }) => {
        close(farewell(where, reasonCode ?? 0, properties?.reasonString));
      });
      client.on('close', () => close(lost(where, 'the connection was lost')));
    });
    client.on('error', () => client.end(true));
  }

  /**
   * Resolves on PUBACK: the broker has it.
   * @throws PermissionDenied when the broker refused this topic; TooLarge; and what `closed` resolves with
   */
  async publish(topic: string, payload: string, options: PublishOptions): Promise<void> {
    const bytes = Buffer.from(payload);
    if (bytes.length + topic.length + 256 > this.#packetBytesMax) {
      const message = `${topic}: ${bytes.length} bytes, the broker takes packets of ${this.#packetBytesMax}`;
      const hint = "raise the broker's maximum packet size";
      throw new HoldfastError('TooLarge', message, { hint });
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
   * @throws PermissionDenied when the broker refused the filter; and what `closed` resolves with
   */
  async subscribe(filter: string, noLocal: boolean): Promise<void> {
    const answered = this.#client
      .subscribeAsync(filter, { qos: 0, nl: noLocal, rap: true, rh: 0 })
      .then(
        () => undefined,
        (thrown: unknown) => this.#denied('read', filter, thrown),
      );
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

  /** Without a word: the broker will publish the will after its delay. @param reason what `closed` tells */
  destroy(reason?: HoldfastError): void {
    this.#gone ??= reason;
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
      (thrown: unknown) => this.#denied('write', topic, thrown),
    );
  }

  /** What has no reason code is not the broker's word but the end of the connection. */
  #denied(verb: 'read' | 'write', topic: string, thrown: unknown): never {
    if (!isAnswer(thrown)) throw this.#gone ?? lost(this.#where, messageOf(thrown), thrown);
    const message = `${this.#where} refused ${topic}: ${messageOf(thrown)}`;
    const hint = `let this client ${verb} <root>/<replica id>/# in the broker's access rules`;
    throw new HoldfastError('PermissionDenied', message, { cause: thrown, hint, retry: 'later' });
  }

  /**
   * mqtt.js never settles what was in flight when a connection went: its end does. Not a race with
   * `closed`, which would remember every call for as long as the connection lives.
   */
  async #alive<T>(work: Promise<T>): Promise<T> {
    let fail = (_reason: HoldfastError): void => undefined;
    const gone = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    this.#waiting.add(fail);
    const timer = setTimeout(() => {
      const message = `${this.#where}: no acknowledgement within ${this.#ackTimeoutMs / 1000} s`;
      fail(new HoldfastError('DeadlineExceeded', message));
      this.destroy();
    }, this.#ackTimeoutMs);
    if (this.#gone) fail(this.#gone);
    try {
      return await Promise.race([work, gone]);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(fail);
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
