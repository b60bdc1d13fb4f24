import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../support/child.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { findCommand, requireServer } from './binaries.ts';
import { freePort } from './ports.ts';

const run = promisify(execFile);
/** Ports lost to somebody else between looking and listening; each try looks again. */
const START_TRIES = 5;

export interface EtcdOptions {
  /** Further flags of etcd, e.g. `--quota-backend-bytes=…`. */
  readonly args?: readonly string[];
  /** Serves TLS on a second port, with these PEM files; `caFile` makes it ask for client certificates. */
  readonly tls?: {
    readonly certFile: string;
    readonly keyFile: string;
    readonly caFile?: string;
  };
}

/** A real etcd on loopback with its data in a temporary folder. */
export interface Etcd extends AsyncDisposable {
  /** `http://127.0.0.1:<clientPort>` */
  readonly endpoint: string;
  readonly clientPort: number;
  /** `https://127.0.0.1:<port>`; serves only with the option `tls`. */
  readonly tlsEndpoint: string;
  readonly dataDir: string;
  /** Of the process now running; changes with `restart`. */
  readonly pid: number;
  /** What it logged since its last start. */
  readonly output: string;
  /** SIGTERM, waits, removes the data. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL, waits; port and data stay for `restart`. */
  kill(): Promise<void>;
  /** Kills it if it runs, then starts on the same port and data. */
  restart(): Promise<void>;
  /** stdout of `etcdctl` (API 3) against this server. @throws with its stderr when it fails. */
  etcdctl(args: readonly string[]): Promise<string>;
}

/** Resolves when it answers healthy. @throws with what to install when etcd is missing. */
export async function startEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  requireServer('etcd');
  const folder = makeTempFolder('etcd');
  try {
    return await startOnFreePorts(folder, options);
  } catch (error) {
    removeTempFolder(folder);
    throw error;
  }
}

async function startOnFreePorts(folder: string, options: EtcdOptions): Promise<Etcd> {
  for (let attempt = 1; ; attempt++) {
    const ports = { client: await freePort(), peer: await freePort(), tls: await freePort() };
    try {
      const child = await launch(folder, ports, options);
      return new RunningEtcd(folder, ports, options, child);
    } catch (error) {
      const taken = error instanceof Error && error.message.includes('address already in use');
      if (!taken || attempt === START_TRIES) throw error;
    }
  }
}

interface Ports {
  readonly client: number;
  readonly peer: number;
  readonly tls: number;
}

async function launch(folder: string, ports: Ports, options: EtcdOptions): Promise<Child> {
  const client = `http://127.0.0.1:${ports.client}`;
  const peer = `http://127.0.0.1:${ports.peer}`;
  const flags = [
    ['--name', 'holdfast-test'],
    ['--data-dir', path.join(folder, 'data')],
    ['--listen-client-urls', options.tls ? `${client},${tlsEndpoint(ports)}` : client],
    ['--advertise-client-urls', client],
    ['--listen-peer-urls', peer],
    ['--initial-advertise-peer-urls', peer],
    ['--initial-cluster', `holdfast-test=${peer}`],
    // A cluster of one elects itself: waiting the default second for others only slows the tests.
    ['--heartbeat-interval', '20'],
    ['--election-timeout', '200'],
    ['--logger', 'zap'],
    ['--log-outputs', 'stderr'],
    ...tlsFlags(options),
  ].flat();
  const child = await Child.start(
    findCommand('etcd') ?? 'etcd',
    [...flags, ...(options.args ?? [])],
    {
      // Nothing of ours: etcd reads ETCD_* and refuses what contradicts its flags.
      env: { PATH: process.env.PATH, HOME: folder, ETCD_UNSUPPORTED_ARCH: process.arch },
    },
  );
  try {
    // Its own log first: on a lost port race somebody else's etcd could answer the health check.
    await child.waitUntil('it serves clients', () =>
      child.output.includes('serving client traffic'),
    );
    await child.waitUntil('it is healthy', () => isHealthy(client));
    return child;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

function tlsEndpoint(ports: Ports): string {
  return `https://127.0.0.1:${ports.tls}`;
}

function tlsFlags({ tls }: EtcdOptions): string[][] {
  if (!tls) return [];
  const server = [
    ['--cert-file', tls.certFile],
    ['--key-file', tls.keyFile],
  ];
  if (tls.caFile === undefined) return server;
  return [...server, ['--client-cert-auth'], ['--trusted-ca-file', tls.caFile]];
}

async function isHealthy(endpoint: string): Promise<boolean> {
  try {
    const response = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(2000) });
    return ((await response.json()) as { health?: string }).health === 'true';
  } catch {
    return false;
  }
}

class RunningEtcd implements Etcd {
  readonly endpoint: string;
  readonly clientPort: number;
  readonly tlsEndpoint: string;
  readonly dataDir: string;
  readonly #folder: string;
  readonly #ports: Ports;
  readonly #options: EtcdOptions;
  #child: Child;

  constructor(folder: string, ports: Ports, options: EtcdOptions, child: Child) {
    this.#folder = folder;
    this.#ports = ports;
    this.#options = options;
    this.#child = child;
    this.endpoint = `http://127.0.0.1:${ports.client}`;
    this.clientPort = ports.client;
    this.tlsEndpoint = tlsEndpoint(ports);
    this.dataDir = path.join(folder, 'data');
  }

  get pid(): number {
    return this.#child.pid;
  }

  get output(): string {
    return this.#child.output;
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    removeTempFolder(this.#folder);
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }

  async restart(): Promise<void> {
    await this.#child.kill();
    this.#child = await launch(this.#folder, this.#ports, this.#options);
  }

  async etcdctl(args: readonly string[]): Promise<string> {
    const command = findCommand('etcdctl') ?? 'etcdctl';
    const { stdout } = await run(command, [`--endpoints=${this.endpoint}`, ...args], {
      env: { PATH: process.env.PATH, ETCDCTL_API: '3' },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 30_000,
    });
    return stdout;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
