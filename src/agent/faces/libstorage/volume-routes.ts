import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { HoldfastError } from '../../../base/errors.ts';
import type { Volume } from '../../../volumes/index.ts';
import type { Agent } from '../../agent.ts';
import { attach, detachAll, detachOne, detachService } from './attach-routes.ts';
import { clientOf } from './client.ts';
import { GoQuery, refuseUnsupported } from './go-query.ts';
import {
  findInstanceId,
  present,
  requireInstanceId,
  toInstance,
  type Presented,
} from './presentation.ts';
import { sendJson, sendNothing } from './reply.ts';
import { toCreateRequest, VolumeCreateRequest } from './requests.ts';
import { findService } from './service-routes.ts';
import { AVAILABLE, maskedVolume, NEEDS_INSTANCE, wireVolume } from './wire-volume.ts';

interface OfService {
  Params: { service: string };
}
interface OfVolume {
  Params: { service: string; volume: string };
}

/** Lists, inspect, create and remove; a POST with an action query goes to attach-routes.ts. */
export function volumeRoutes(app: FastifyInstance, agent: Agent): void {
  app.get('/volumes', async (request, reply) => {
    const query = readQuery(request);
    const all = await agent.volumes.list();
    const services = agent.volumes.services.map((service) => {
      const presented = present(service);
      return [service.name, listed(agent, request, presented, all, query.attachments())];
    });
    return sendJson(reply, 200, Object.fromEntries(services));
  });
  app.get<OfService>('/volumes/:service', async (request, reply) => {
    const query = readQuery(request);
    const presented = findService(agent, request.params.service);
    const mask = query.attachments();
    const all = await agent.volumes.list();
    return sendJson(reply, 200, listed(agent, request, presented, all, mask));
  });
  app.get<OfVolume>('/volumes/:service/:volume', async (request, reply) =>
    inspect(agent, request, reply),
  );
  app.delete<OfVolume>('/volumes/:service/:volume', async (request, reply) => {
    const force = readQuery(request).flag('force');
    const presented = findService(agent, request.params.service);
    const { spec } = await findVolume(agent, presented, request.params.volume);
    await agent.volumes.remove(spec.id, { force });
    return sendNothing(reply);
  });
  actionRoutes(app, agent);
}

/** POST: the query names the action; without a known one there is no such route. */
function actionRoutes(app: FastifyInstance, agent: Agent): void {
  app.post('/volumes', async (request, reply) => {
    if (!readQuery(request).flag('detach')) return reply.callNotFound();
    return detachAll(agent, request, reply);
  });
  const create = app.post<OfService & { Body: Static<typeof VolumeCreateRequest> }>;
  create('/volumes/:service', async (request, reply) => {
    const query = readQuery(request);
    const presented = findService(agent, request.params.service);
    if (query.flag('detach')) return detachService(agent, request, reply, presented);
    const body = checkCreate(request.body);
    const volume = await agent.volumes.create(toCreateRequest(presented.service.name, body));
    return sendJson(reply, 201, wireVolume(volume, { state: AVAILABLE }));
  });
  app.post<OfVolume>('/volumes/:service/:volume', async (request, reply) => {
    const query = readQuery(request);
    const attaching = query.flag('attach');
    if (!attaching && !query.flag('detach')) return reply.callNotFound();
    const presented = findService(agent, request.params.service);
    if (!attaching) return detachOne(agent, request, reply, presented);
    return attach(agent, request, reply, presented);
  });
}

function readQuery(request: FastifyRequest): GoQuery {
  const query = new GoQuery(request.url);
  refuseUnsupported(query);
  return query;
}
