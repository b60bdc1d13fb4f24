import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Agent } from '../../agent.ts';
import { clientOf } from './client.ts';
import { findService, type OfService } from './find-volume.ts';
import { GoQuery } from './go-query.ts';
import {
  instanceInfo,
  present,
  requireInstanceId,
  serviceInfo,
  type Presented,
} from './presentation.ts';
import { sendJson } from './reply.ts';

/** The five roots, in the reference's order. */
const ROOTS = ['services', 'snapshots', 'tasks', 'help', 'volumes'];

export function serviceRoutes(app: FastifyInstance, agent: Agent): void {
  app.get('/', async (request, reply) => {
    const host = request.headers.host ?? 'libstorage-server';
    return sendJson(
      reply,
      200,
      ROOTS.map((root) => `http://${host}/${root}`),
    );
  });
  app.get('/services', async (request, reply) => {
    const services = agent.volumes.services.map((service) => present(service));
    const infos = services.map((one) => [one.service.name, describe(agent, one, request)]);
    return sendJson(reply, 200, Object.fromEntries(infos));
  });
  app.get<OfService>('/services/:service', async (request, reply) => {
    const presented = findService(agent, request.params.service);
    return sendJson(reply, 200, describe(agent, presented, request));
  });
}

/** With `?instance` the client learns who it is to us; it must have said which driver it runs. */
function describe(agent: Agent, presented: Presented, request: FastifyRequest): object {
  if (!new GoQuery(request.url).flag('instance')) return serviceInfo(presented);
  const id = requireInstanceId(clientOf(request), presented);
  return serviceInfo(presented, instanceInfo(agent, presented, id));
}
