/**
 * Holdfast's own API: `/agent/v1/…` (host, devices, services, volumes, sync, events, kv, leases) and the two
 * probes `/healthz` and `/readyz`. The command line speaks it.
 *
 * - Bodies are compact JSON, described by `schema.ts`: requests are validated against it, answers
 *   serialized by it.
 * - Every failure is `{code, message, hint?, retry}` (base/errors.ts) under the code's HTTP status.
 * - A reference in a path (`/volumes/:ref`) may hold any byte, percent-encoded; `%2F` is a slash
 *   within the name. Clients must send it raw: URL parsers of browsers and `fetch` fold `%2e%2e`.
 * - kv and leases see the engine's prefix `kv/` and nothing else (user-keys.ts); what is said of the store
 *   as a whole, `kv/stats` and `kv/compact`, is about the agent's own keys too.
 */
import type { FastifyPluginAsync } from 'fastify';
import { HoldfastError, messageOf } from '../../../base/errors.ts';
import type { Agent } from '../../agent.ts';
import { toRequestError } from '../../http-schema.ts';
import { deviceRoutes } from './device-routes.ts';
import { eventRoutes } from './event-routes.ts';
import { kvRoutes } from './kv.ts';
import { kvTxnRoute } from './kv-txn.ts';
import { kvUpkeepRoutes } from './kv-upkeep.ts';
import { kvWatchRoute } from './kv-watch.ts';
import { leaseRoutes } from './lease-routes.ts';
import { hostRoutes } from './host-routes.ts';
import { statusRoutes } from './status-routes.ts';
import { NoQuery, ProbeReply, type ErrorBody } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';
import { volumeRoutes } from './volume-routes.ts';

export type * from './schema.ts';

export interface AgentApiOptions {
  readonly agent: Agent;
  /** Aborts when the server closes: streams end. */
  readonly stopping: AbortSignal;
}

/** Liveness asks the engine for one read; past this it is stuck, not slow. */
const HEALTH_DEADLINE_MS = 2_000;

export const agentApiFace: FastifyPluginAsync<AgentApiOptions> = async (app, options) => {
  answerErrors(app);
  probeRoutes(app, options.agent);
  await app.register(versionOne, { prefix: '/agent/v1', ...options });
};

const versionOne: FastifyPluginAsync<AgentApiOptions> = async (plugin, { agent, stopping }) => {
  const app = plugin as ApiInstance;
  app.setNotFoundHandler(async (request, reply) => {
    const error = new HoldfastError(
      'NotFound',
      `no route ${request.method} ${pathOf(request.url)}`,
      {
        hint: 'see docs/api.md',
      },
    );
    return reply.code(error.httpStatus).send(error.toJSON());
  });
  statusRoutes(app, agent);
  hostRoutes(app, agent);
  deviceRoutes(app, agent);
  eventRoutes(app, agent, stopping);
  volumeRoutes(app, agent);
  await app.register(kvRoutes, { agent });
  kvTxnRoute(app, agent);
  kvUpkeepRoutes(app, agent);
  leaseRoutes(app, agent);
  kvWatchRoute(app, agent, stopping);
};

function answerErrors(app: ApiInstance): void {
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = toRequestError(thrown);
    if (error.httpStatus >= 500) {
      const { method, routeOptions } = request;
      request.log.error(
        { code: error.code, method, route: routeOptions.url, err: error },
        'request failed',
      );
    }
    return reply.code(error.httpStatus).send(error.toJSON() satisfies ErrorBody);
  });
}

function probeRoutes(app: ApiInstance, agent: Agent): void {
  const schema = { querystring: NoQuery, response: { '2xx': ProbeReply, 503: ProbeReply } };
  // That this runs shows that the event loop turns. Offline is healthy: no target is asked.
  app.get('/healthz', { schema }, async (_request, reply) => {
    const failure = await engineFailure(agent);
    const { state, reasons } = agent.state();
    if (failure === undefined) return { state, reasons };
    return reply.code(503).send({ state, reasons: [...reasons, failure] });
  });
  app.get('/readyz', { schema }, async (_request, reply) => {
    const { state, reasons } = agent.state();
    const ready = state === 'ready' || state === 'degraded';
    return reply.code(ready ? 200 : 503).send({ state, reasons });
  });
}

async function engineFailure(agent: Agent): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<string>((resolve) => {
    const message = `the engine didn't answer a read within ${HEALTH_DEADLINE_MS} ms`;
    timer = setTimeout(() => resolve(message), HEALTH_DEADLINE_MS);
  });
  const read = agent.engine.get('host/identity').then(
    () => undefined,
    (thrown: unknown) => `the engine can't read: ${messageOf(thrown)}`,
  );
  try {
    return await Promise.race([read, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function pathOf(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return path.length > 100 ? `${path.slice(0, 100)}…` : path;
}
