import {
  createConnection,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { pino } from 'pino';
import { AgentCore } from '../../src/agent/core.ts';
import { EngineEventRing } from '../../src/agent/event-ring.ts';
import { engineFactStore } from '../../src/agent/fact-store.ts';
import {
  MqttFeed,
  type FeedState,
  type FeedStateChange,
  type FeedTimes,
} from '../../src/agent/faces/mqtt/index.ts';
import { ServiceRunner } from '../../src/agent/service.ts';
import { newId } from '../../src/base/ids.ts';
import { DeviceRegistry } from '../../src/devices/index.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { VolumeManager } from '../../src/volumes/index.ts';
import { buildTree } from '../fixtures/sys/tree.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Long enough for a busy machine; nothing here passes because time passed. */
const WAIT_MS = 30_000;

export const FAST: Partial<FeedTimes> = {
  connectTimeoutMs: 5_000,
  ackTimeoutMs: 5_000,
  willDelaySeconds: 1,
  sessionExpirySeconds: 3,
  backoffFirstMs: 20,
  backoffMaxMs: 100,
  healthyAfterMs: 0,
  refusedRetryMs: 100,
  documentIntervalMs: 20,
  syncIntervalMs: 20,
  ackSaveIntervalMs: 50,
};

export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = WAIT_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(10);
  }
}

/** What survives an agent: its store, its volumes' folder, its identity. */
export interface Host {
  readonly engine: Engine;
  readonly folder: string;
  readonly replicaId: string;
}

export async function makeHost(): Promise<Host> {
  const folder = tempDir('mqtt');
  buildTree('stack', path.join(folder, 'host'));
  const engine = await openEngine({ backend: 'memory', path: folder });
  return { engine, folder, replicaId: newId() };
}

/** One start of an agent on the host, with real volumes and the devices of a recorded machine. */
export async function startCore(host: Host, start = 1): Promise<AgentCore> {
  const { engine, folder, replicaId } = host;
  const epoch = `d9ff4a0e-55c3-4b0c-9f4c-4f2b7b1f0a77.${start}`;
  const root = path.join(folder, 'host');
  const services = [{ name: 'local', driver: 'dir', path: path.join(folder, 'local') }] as const;
  const mountRoot = path.join(folder, 'mounts');
  const volumes = new VolumeManager({ engine, bootId: epoch, services, mountRoot });
  await volumes.recover();
  const devices = new DeviceRegistry({ store: engineFactStore(engine), root });
  await devices.load();
  await devices.scan();
  const core = new AgentCore({
    epoch,
    identity: { replicaId, mintedAt: new Date(0).toISOString(), fingerprint: { macs: [] } },
    hostFacts: {
      hostname: 'edge-1',
      os: 'Debian GNU/Linux 12',
      kernel: '6.1.0',
      arch: 'x64',
      cpu: 'Test CPU',
      cores: 2,
      memoryBytes: 1024 ** 3,
    },
    engine,
    devices,
    volumes,
    events: new EngineEventRing({ engine, epoch }),
    runner: new ServiceRunner(pino({ level: 'silent' })),
  });
  core.enter('running');
  return core;
}

export interface FeedRunOptions {
  readonly times?: Partial<FeedTimes>;
  readonly username?: string;
  readonly readPassword?: () => Promise<string | undefined>;
  readonly ca?: string;
  readonly keepaliveSeconds?: number;
}

/** A feed at work, and what it said of itself. */
export class FeedRun implements AsyncDisposable {
  readonly changes: FeedStateChange[] = [];
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;

  constructor(agent: AgentCore, url: string, options: FeedRunOptions = {}) {
    const { username, readPassword, ca, keepaliveSeconds = 5, times } = options;
    const login = username === undefined ? {} : { username };
    const feed = new MqttFeed({
      agent,
      config: { url, root: 'holdfast', keepaliveSeconds, ...login },
      readPassword: readPassword ?? (async () => undefined),
      readCa: async () => ca,
      onState: (change) => this.changes.push(change),
      times: { ...FAST, ...times },
    });
    this.#done = feed.run(this.#stopping.signal);
    this.#done.catch(() => undefined);
  }

  get state(): FeedState | undefined {
    return this.changes.at(-1)?.to;
  }

  /** @throws what the run threw, when it ended */
  async reached(state: FeedState): Promise<FeedStateChange> {
    const ended = this.#done.then(() => {
      if (state !== 'stopped') throw new Error(`the feed ended before it was ${state}`);
    });
    await Promise.race([until(state, () => this.state === state), ended]);
    return this.changes.at(-1)!;
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => undefined);
  }
}

/** Somebody who subscribes to everything and remembers it; comes back when the broker does. */
export class Listener implements AsyncDisposable {
  readonly messages: { readonly topic: string; readonly text: string }[] = [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    client.on('error', () => undefined);
    client.on('message', (topic, payload) => {
      this.messages.push({ topic, text: payload.toString() });
    });
  }

  static async start(url: string, login: { username?: string; password?: string } = {}) {
    const options = { protocolVersion: 5, reconnectPeriod: 50, ...login } as const;
    const client = await connectAsync(url, options);
    const listener = new Listener(client);
    await client.subscribeAsync('holdfast/#', { qos: 1 });
    return listener;
  }

  /** Payloads of one topic, in order. */
  of(topic: string): string[] {
    return this.messages.filter((message) => message.topic === topic).map(({ text }) => text);
  }

  json<T>(topic: string): T[] {
    return this.of(topic)
      .filter((text) => text !== '')
      .map((text) => JSON.parse(text) as T);
  }

  publish(topic: string, payload: string): Promise<unknown> {
    return this.#client.publishAsync(topic, payload, { qos: 1, retain: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}

/** What the broker has retained below `holdfast/`, relative to the replica: its own answer, complete. */
export async function retained(
  url: string,
  replicaId: string,
  login: { username?: string; password?: string } = {},
): Promise<Record<string, string>> {
  const client = await connectAsync(url, { protocolVersion: 5, ...login });
  const found: Record<string, string> = {};
  // Retained messages come before what is published after the subscription.
  const marker = `holdfast/${replicaId}/marker-${newId()}`;
  const complete = new Promise<void>((resolve) => {
    client.on('message', (topic, payload) => {
      if (topic === marker) return resolve();
      found[topic.slice(`holdfast/${replicaId}/`.length)] = payload.toString();
    });
  });
  await client.subscribeAsync(`holdfast/${replicaId}/#`, { qos: 1 });
  await client.publishAsync(marker, 'x', { qos: 1 });
  await complete;
  await client.endAsync();
  return found;
}

/** A server on loopback that treats each connection so, and isn't a broker. */
export async function startTcp(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A way to the broker that can be cut, and one end of it that can fall silent. */
export class Wire implements AsyncDisposable {
  readonly #pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  readonly #frozen: Socket[] = [];
  /** A connection is cut when the client has sent so much. */
  clientBytesMax = Number.POSITIVE_INFINITY;
  /** Connections asked for so far. */
  connections = 0;
  readonly #server: Server;
  #open = true;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      this.connections += 1;
      if (!this.#open) return near.destroy();
      const far = createConnection({ port, host: '127.0.0.1' });
      const pair = { near, far };
      this.#pairs.add(pair);
      near.on('error', () => undefined).on('close', () => far.destroy());
      far.on('error', () => undefined).on('close', () => near.destroy());
      let sentBytes = 0;
      near.on('data', (chunk) => {
        sentBytes += chunk.length;
        if (sentBytes > this.clientBytesMax) near.destroy();
      });
      near.pipe(far).pipe(near);
    });
  }

  static async to(port: number): Promise<Wire> {
    const wire = new Wire(port);
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Both ends see a closed connection, as when the feed's process is killed. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#pairs.clear();
  }

  /** No new connections, until it is opened again. */
  close(): void {
    this.#open = false;
  }

  open(): void {
    this.#open = true;
  }

  /** Nothing passes any more and nobody is told, as when the power of a host is cut. */
  freeze(): void {
    for (const { near, far } of this.#pairs) {
      near.unpipe(far).pause();
      far.unpipe(near).resume();
      near.removeAllListeners('close');
      far.removeAllListeners('close');
      this.#frozen.push(near, far);
    }
    this.#pairs.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    for (const socket of this.#frozen) socket.destroy();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await closed;
  }
}
