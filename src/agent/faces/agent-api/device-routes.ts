import type { ClaimState, Device, Verdict } from '../../../devices/index.ts';
import type { Agent } from '../../agent.ts';
import { isSet } from './flag.ts';
import {
  ClaimBody,
  ClaimRequest,
  DeviceBody,
  DevicesQuery,
  DevicesReply,
  NoQuery,
  RefParams,
  ReleaseQuery,
  RescanReply,
} from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** devices: what is there, and whether it is free. A `:ref` is a device's id, kernel name or path. */
export function deviceRoutes(app: ApiInstance, agent: Agent): void {
  app.get(
    '/devices',
    { schema: { querystring: DevicesQuery, response: { 200: DevicesReply } } },
    async (request) => {
      if (isSet(request.query.look)) await agent.devices.scan();
      const users = await usersByNode(agent);
      return { devices: agent.devices.list().map((device) => withVerdict(agent, device, users)) };
    },
  );
  app.post(
    '/devices/rescan',
    { schema: { querystring: NoQuery, response: { 200: RescanReply } } },
    async () => ({ events: await agent.devices.scan() }),
  );
  app.get(
    '/devices/:ref',
    { schema: { params: RefParams, querystring: DevicesQuery, response: { 200: DeviceBody } } },
    async (request) => {
      if (isSet(request.query.look)) await agent.devices.scan();
      return withVerdict(agent, agent.devices.get(request.params.ref), await usersByNode(agent));
    },
  );
  app.delete(
    '/devices/:ref',
    { schema: { params: RefParams, querystring: NoQuery } },
    async (request, reply) => {
      await agent.devices.forget(request.params.ref);
      return reply.code(204).send();
    },
  );
  claimRoutes(app, agent);
}

/** claims: who took which device for what. */
function claimRoutes(app: ApiInstance, { devices, volumes, epoch }: Agent): void {
  app.post(
    '/devices/:ref/claim',
    {
      schema: {
        params: RefParams,
        querystring: NoQuery,
        body: ClaimRequest,
        response: { 200: ClaimBody },
      },
    },
    async (request) => {
      const { ref } = request.params;
      const users = await usersByNode({ volumes, epoch });
      return devices.claim(ref, {
        owner: request.body.owner,
        usersOf: ({ path }) => users.get(path),
      });
    },
  );
  app.delete(
    '/devices/:ref/claim',
    { schema: { params: RefParams, querystring: ReleaseQuery } },
    async (request, reply) => {
      const { owner, force } = request.query;
      await devices.release(request.params.ref, { owner, force: isSet(force) });
      return reply.code(204).send();
    },
  );
}

type WithVerdict = Device & {
  readonly verdict: Verdict;
  readonly claim: ClaimState | undefined;
};

function withVerdict(
  { devices }: Agent,
  device: Device,
  users: ReadonlyMap<string, readonly string[]>,
): WithVerdict {
  const verdict = devices.judge(device, users.get(device.path));
  return { ...device, verdict, claim: devices.claimOf(device) };
}

/** Volumes by the device they are on. A device of another boot means nothing now. */
async function usersByNode({
  volumes,
  epoch,
}: Pick<Agent, 'volumes' | 'epoch'>): Promise<Map<string, string[]>> {
  const users = new Map<string, string[]>();
  for (const { spec, status } of await volumes.list()) {
    const { device, bootId } = status;
    if (device === undefined || bootId === undefined || !epoch.startsWith(`${bootId}.`)) continue;
    users.set(device, [...(users.get(device) ?? []), `volume ${JSON.stringify(spec.name)}`]);
  }
  return users;
}
