import type { Agent } from '../../agent.ts';
import { NoQuery, StatusReply, SyncReply, type StatusReply as Status } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** status, sync: how the agent is doing. */
export function statusRoutes(app: ApiInstance, agent: Agent): void {
  app.get(
    '/status',
    { schema: { querystring: NoQuery, response: { 200: StatusReply } } },
    async () => status(agent),
  );
  app.get(
    '/sync',
    { schema: { querystring: NoQuery, response: { 200: SyncReply } } },
    async () => ({
      targets: [...agent.sync()],
    }),
  );
}

async function status(agent: Agent): Promise<Status> {
  const volumes = await agent.volumes.list();
  const devices = agent.devices.list();
  const present = devices.filter((device) => device.present).length;
  const { backend, revision } = await agent.engine.stats();
  const { state, since, reasons } = agent.state();
  return {
    version: agent.version,
    epoch: agent.epoch,
    state,
    since,
    reasons: [...reasons],
    replicaId: agent.identity.replicaId,
    hostname: agent.hostFacts.hostname,
    pid: process.pid,
    startedAt: agent.startedAt,
    uptimeSeconds: Math.floor(process.uptime()),
    engine: { backend, revision, incarnation: agent.engine.incarnation },
    services: agent.volumes.services.map(({ name, driver, path }) => ({
      name,
      driver,
      path,
      volumes: volumes.filter(({ spec }) => spec.service === name).length,
    })),
    volumes: {
      total: volumes.length,
      mounted: volumes.filter((volume) => volume.status.mountPoint !== undefined).length,
      failed: volumes.filter((volume) => volume.status.phase === 'failed').length,
    },
    devices: { present, absent: devices.length - present },
    sync: agent.sync().map((target) => ({ ...target, endpoints: [...target.endpoints] })),
    mqtt: agent.feed(),
    components: [...agent.services()],
  };
}
