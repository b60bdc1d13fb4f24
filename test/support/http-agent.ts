import path from 'node:path';
import { onTestFinished } from 'vitest';
import { pino, type Logger } from 'pino';
import { AgentCore } from '../../src/agent/core.ts';
import { readBootId } from '../../src/agent/epoch.ts';
import { EngineEventRing } from '../../src/agent/event-ring.ts';
import { engineFactStore } from '../../src/agent/fact-store.ts';
import {
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
  type Listening,
} from '../../src/agent/http.ts';
import { ServiceRunner } from '../../src/agent/service.ts';
import { newId } from '../../src/base/ids.ts';
import { DeviceRegistry } from '../../src/devices/index.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { VolumeManager, type ServiceConfig } from '../../src/volumes/index.ts';
import { buildTree } from '../fixtures/sys/tree.ts';
import { tempDir } from './temp-dir.ts';

export interface HttpAgent {
  readonly core: AgentCore;
  readonly engine: Engine;
  readonly http: HttpServer;
  readonly listening: Listening;
  readonly socket: string;
  /** Holds all that this agent has on the disk. */
  readonly folder: string;
}

export interface HttpAgentOptions extends Partial<HttpServerOptions> {
  /** Their paths are relative to the agent's folder. Default: one `dir` service, `local`. */
  readonly services?: readonly ServiceConfig[];
}

/**
 * An agent as its HTTP clients see it: real volumes, the devices of a recorded host, an engine in
 * memory, the real server on a unix socket. Stopped after the test; a volume of a loop service that
 * is still attached then fails the removal of the folder.
 */
export async function startHttpAgent(options: HttpAgentOptions = {}): Promise<HttpAgent> {
  const folder = tempDir('http');
  const { services = [{ name: 'local', driver: 'dir', path: 'local' }], ...server } = options;
  const log = server.log ?? pino({ level: 'silent' });
  const { core, engine, volumes } = await makeCore(folder, services, log);
  const socketPath = server.socketPath ?? path.join(folder, 'holdfast.sock');
  const http = createHttpServer(core, { ...server, log, socketPath });
  onTestFinished(async () => {
    await http.close(0);
    await volumes.close();
    await engine.close();
  });
  const listening = await http.listen();
  core.enter('running');
  return { core, engine, http, listening, socket: socketPath, folder };
}

async function makeCore(folder: string, services: readonly ServiceConfig[], log: Logger) {
  const engine = await openEngine({ backend: 'memory', path: folder });
  const bootId = await readBootId();
  const volumes = new VolumeManager({
    engine,
    bootId,
    services: services.map((service) => ({ ...service, path: path.join(folder, service.path) })),
    mountRoot: path.join(folder, 'mounts'),
  });
  await volumes.recover();
  const root = path.join(folder, 'host');
  buildTree('stack', root);
  const devices = new DeviceRegistry({ store: engineFactStore(engine), root });
  await devices.scan();
  const epoch = `${bootId}.1`;
  const core = new AgentCore({
    epoch,
    identity: {
      replicaId: newId(),
      mintedAt: new Date(0).toISOString(),
      fingerprint: { macs: [] },
    },
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
    runner: new ServiceRunner(log),
  });
  return { core, engine, volumes };
}
