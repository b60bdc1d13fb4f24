import type { FastifyInstance } from 'fastify';
import { bodyCheck } from '../../http-schema.ts';
import type { Agent } from '../../agent.ts';
import { attach, detachAll, detachOne, detachService } from './attach-routes.ts';
import { findService, type OfService, type OfVolume } from './find-volume.ts';
import { readQuery } from './go-query.ts';
import { sendJson } from './reply.ts';
import { toCreateRequest } from './requests.ts';
import { VolumeCreateRequest } from './schema.ts';
import { AVAILABLE, wireVolume } from './wire-volume.ts';

const checkCreate = bodyCheck(VolumeCreateRequest);

/** POST: the query names the action; without a known one there is no such route. */
export function actionRoutes(app: FastifyInstance, agent: Agent): void {
  app.post('/volumes', async (request, reply) => {
    if (!readQuery(request).flag('detach')) return reply.callNotFound();
    return sendJson(reply, 205, await detachAll(agent, request));
  });
  app.post<OfService>('/volumes/:service', async (request, reply) => {
    const query = readQuery(request);
    const presented = findService(agent, request.params.service);
    if (query.flag('detach')) {
      return sendJson(reply, 205, await detachService(agent, request, presented));
    }
    const body = checkCreate(request.body);
    const volume = await agent.volumes.create(toCreateRequest(presented.service.name, body));
    return sendJson(reply, 201, wireVolume(volume, { state: AVAILABLE }));
  });
  app.post<OfVolume>('/volumes/:service/:volume', async (request, reply) => {
    const query = readQuery(request);
    const attaching = query.flag('attach');
    if (!attaching && !query.flag('detach')) return reply.callNotFound();
    const presented = findService(agent, request.params.service);
    if (attaching) return sendJson(reply, 200, await attach(agent, request, presented));
    // 205 promises that there is no body, but the Go client decodes one.
    return sendJson(reply, 205, await detachOne(agent, request, presented));
  });
}
