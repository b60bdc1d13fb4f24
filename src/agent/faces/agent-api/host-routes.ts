import type { Agent } from '../../agent.ts';
import { DeviceBody, DevicesReply, HostReply, NoQuery, RefParams, RescanReply } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** host, devices: what this machine is. */
export function hostRoutes(app: ApiInstance, agent: Agent): void {
  app.get(
    '/host',
    { schema: { querystring: NoQuery, response: { 200: HostReply } } },
    async () => ({
      identity: agent.identity,
      facts: agent.hostFacts,
    }),
  );
  app.get(
    '/devices',
    { schema: { querystring: NoQuery, response: { 200: DevicesReply } } },
    async () => ({ devices: agent.devices.list() }),
  );
  app.post(
    '/devices/rescan',
    { schema: { querystring: NoQuery, response: { 200: RescanReply } } },
    async () => ({ events: await agent.devices.scan() }),
  );
  app.get(
    '/devices/:ref',
    { schema: { params: RefParams, querystring: NoQuery, response: { 200: DeviceBody } } },
    async (request) => agent.devices.get(request.params.ref),
  );
}
