/**
 * `GET /metrics`: Prometheus text, everything collected when it is scraped. Nothing here has a timer,
 * so an agent that nobody scrapes never wakes up for its metrics.
 *
 * Requests are counted by route pattern (`/volumes/:service/:volume`), never by path: a label that a
 * client can choose is a way to fill our memory.
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { Counter, Histogram, Registry } from 'prom-client';
import type { Agent } from '../../agent.ts';
import { collect } from './collect.ts';

/** Unix socket answers are well below 1 ms, mkfs of a volume takes seconds. */
const DURATION_BUCKETS_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export interface HttpMetrics {
  readonly registry: Registry;
}

/** Counts and times every request of `app`. Call it before faces are registered. */
export function measureHttp(app: FastifyInstance): HttpMetrics {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['method', 'route', 'status'];
  const requests = new Counter({
    name: 'holdfast_http_requests_total',
    help: 'HTTP requests answered, by route pattern',
    labelNames,
    registers,
  });
  const durations = new Histogram({
    name: 'holdfast_http_request_duration_seconds',
    help: 'Time from the request head to the end of the answer',
    labelNames: ['method', 'route'],
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url;
    // An unrouted request's method is whatever the client made up, too.
    const method = route === undefined ? 'other' : request.method;
    requests.inc({ method, route: route ?? 'unrouted', status: String(reply.statusCode) });
    durations.observe({ method, route: route ?? 'unrouted' }, reply.elapsedTime / 1000);
  });
  return { registry };
}

interface MetricsOptions {
  readonly agent: Agent;
  readonly metrics: HttpMetrics;
}

export const metricsFace: FastifyPluginAsync<MetricsOptions> = async (app, { agent, metrics }) => {
  app.get('/metrics', async (_request, reply) => {
    const registry = await collect(agent);
    const text = `${await registry.metrics()}\n${await metrics.registry.metrics()}`;
    return reply.type(registry.contentType).send(text);
  });
};
