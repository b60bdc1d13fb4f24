import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Volume } from '../../../volumes/index.ts';
import type { Agent } from '../../agent.ts';
import { clientOf, type Client } from './client.ts';
import {
  findById,
  findByName,
  findService,
  notFound,
  type OfService,
  type OfVolume,
} from './find-volume.ts';
import { readQuery } from './go-query.ts';
import {
  findInstanceId,
  present,
  requireInstanceId,
  toInstance,
  type Presented,
} from './presentation.ts';
import { sendJson, sendNothing } from './reply.ts';
import { maskedVolume, NEEDS_INSTANCE } from './wire-volume.ts';

/** Lists, inspect and remove. What a POST does is in action-routes.ts. */
export function volumeRoutes(app: FastifyInstance, agent: Agent): void {
  app.get('/volumes', async (request, reply) => {
    const mask = readQuery(request).attachments();
    const all = await agent.volumes.list();
    const services = agent.volumes.services.map((service) => {
      const presented = present(service);
      const asker = askerOf(agent, clientOf(request), presented, mask);
      return [service.name, listed(all, presented, mask, asker)];
    });
    return sendJson(reply, 200, Object.fromEntries(services));
  });
  app.get<OfService>('/volumes/:service', async (request, reply) => {
    const mask = readQuery(request).attachments();
    const presented = findService(agent, request.params.service);
    const asker = askerOf(agent, clientOf(request), presented, mask);
    return sendJson(reply, 200, listed(await agent.volumes.list(), presented, mask, asker));
  });
  app.get<OfVolume>('/volumes/:service/:volume', async (request, reply) =>
    inspect(agent, request, reply),
  );
  app.delete<OfVolume>('/volumes/:service/:volume', async (request, reply) => {
    const force = readQuery(request).flag('force');
    const presented = findService(agent, request.params.service);
    const { spec } = await findById(agent, presented, request.params.volume);
    await agent.volumes.remove(spec.id, { force });
    return sendNothing(reply);
  });
}

/** Without a mask that needs it, the asker may stay unknown. @throws WireError 400 */
function askerOf(
  agent: Agent,
  client: Client,
  presented: Presented,
  mask: number,
): string | undefined {
  const id =
    mask & NEEDS_INSTANCE
      ? requireInstanceId(client, presented)
      : findInstanceId(client, presented);
  return id && toInstance(agent, id).id;
}

/** The volumes of one service that the mask lets through, by id. */
function listed(
  all: readonly Volume[],
  presented: Presented,
  mask: number,
  asker: string | undefined,
): object {
  const shown = all
    .filter(({ spec }) => spec.service === presented.service.name)
    .map((volume) => [volume.spec.id, maskedVolume(volume, mask, asker)] as const)
    .filter(([, volume]) => volume !== undefined);
  return Object.fromEntries(shown);
}

async function inspect(
  agent: Agent,
  request: FastifyRequest<OfVolume>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const query = readQuery(request);
  const mask = query.attachments();
  const presented = findService(agent, request.params.service);
  const asker = askerOf(agent, clientOf(request), presented, mask);
  const find = query.flag('byName') ? findByName : findById;
  const volume = await find(agent, presented, request.params.volume);
  const shown = maskedVolume(volume, mask, asker);
  if (shown === undefined) throw notFound(presented, request.params.volume);
  return sendJson(reply, 200, shown);
}
