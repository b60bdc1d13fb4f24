import { HoldfastError } from '../../../base/errors.ts';
import type { Engine } from '../../../engine/index.ts';
import type { Agent } from '../../agent.ts';
import {
  GrantLeaseRequest,
  LeaseBody,
  LeaseKeysReply,
  LeaseParams,
  LeasesReply,
  NoQuery,
  RevokeLeaseReply,
} from './schema.ts';
import type { ApiInstance } from './type-provider.ts';
import { isUserKey, shownKey } from './user-keys.ts';

/** Leases that the user's keys end with. One that holds a key of the agent's own is not the user's. */
export function leaseRoutes(app: ApiInstance, { engine }: Agent): void {
  app.post(
    '/leases',
    { schema: { querystring: NoQuery, body: GrantLeaseRequest, response: { 201: LeaseBody } } },
    async (request, reply) => {
      const { ttlSeconds } = request.body;
      const id = await engine.leases.grant(ttlSeconds);
      return reply.code(201).send({ id, ttlSeconds, remainingMs: ttlSeconds * 1000 });
    },
  );
  app.get(
    '/leases',
    { schema: { querystring: NoQuery, response: { 200: LeasesReply } } },
    async () => ({ leases: await engine.leases.list() }),
  );
  const one = { params: LeaseParams, querystring: NoQuery };
  app.get(
    '/leases/:id',
    { schema: { ...one, response: { 200: LeaseKeysReply } } },
    async (request) => {
      const lease = await userLease(engine, request.params.id);
      return { ...lease, keys: lease.keys.map(shownKey) };
    },
  );
  app.post(
    '/leases/:id/keepalive',
    { schema: { ...one, response: { 200: LeaseBody } } },
    async (request) => {
      const { id } = await userLease(engine, request.params.id);
      const ttlSeconds = await engine.leases.keepAlive(id);
      return { id, ttlSeconds, remainingMs: ttlSeconds * 1000 };
    },
  );
  app.delete(
    '/leases/:id',
    { schema: { ...one, response: { 200: RevokeLeaseReply } } },
    async (request) => {
      const { id } = await userLease(engine, request.params.id);
      const revision = await engine.leases.revoke(id);
      return revision === undefined ? {} : { revision };
    },
  );
}

/** @throws NotFound, also for a lease of the agent's own */
async function userLease(engine: Engine, id: number) {
  const lease = await engine.leases.timeToLive(id);
  if (lease.keys.every(isUserKey)) return lease;
  throw new HoldfastError('NotFound', `lease ${id} is not one of the user's`);
}
