import { HoldfastError } from '../../../base/errors.ts';
import type { Agent } from '../../agent.ts';
import { isSet } from './flag.ts';
import {
  CreateVolumeRequest,
  NoQuery,
  RefParams,
  RemoveQuery,
  ServicesReply,
  VolumeBody,
  VolumesQuery,
  VolumesReply,
} from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** services, volumes. A `:ref` is a volume's id or name. */
export function volumeRoutes(app: ApiInstance, agent: Agent): void {
  app.get(
    '/services',
    { schema: { querystring: NoQuery, response: { 200: ServicesReply } } },
    async () => ({ services: agent.volumes.services }),
  );
  app.get(
    '/volumes',
    { schema: { querystring: VolumesQuery, response: { 200: VolumesReply } } },
    async (request) => {
      const volumes = await agent.volumes.list();
      const { service } = request.query;
      if (service === undefined) return { volumes };
      const known = findService(agent, service);
      return { volumes: volumes.filter((volume) => volume.spec.service === known) };
    },
  );
  app.post(
    '/volumes',
    { schema: { querystring: NoQuery, body: CreateVolumeRequest, response: { 201: VolumeBody } } },
    async (request, reply) => reply.code(201).send(await agent.volumes.create(request.body)),
  );
  const one = { params: RefParams, querystring: NoQuery, response: { 200: VolumeBody } };
  app.get('/volumes/:ref', { schema: one }, async (request) =>
    agent.volumes.get(request.params.ref),
  );
  app.post('/volumes/:ref/mount', { schema: one }, async (request) =>
    agent.volumes.mount(request.params.ref),
  );
  app.post('/volumes/:ref/unmount', { schema: one }, async (request) =>
    agent.volumes.unmount(request.params.ref),
  );
  app.delete(
    '/volumes/:ref',
    { schema: { params: RefParams, querystring: RemoveQuery } },
    async (request, reply) => {
      await agent.volumes.remove(request.params.ref, { force: isSet(request.query.force) });
      return reply.code(204).send();
    },
  );
}

/** The configured spelling of a service's name. */
function findService(agent: Agent, name: string): string {
  const names = agent.volumes.services.map((service) => service.name);
  const found = names.find((known) => known.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw new HoldfastError('NotFound', `no volume service "${name}"`, {
    hint: names.length === 0 ? 'none is configured' : `configured: ${names.join(', ')}`,
  });
}
