/**
 * The libStorage API (v0.6.3 / REX-Ray 0.11.4) over our volumes, on the wire as its own Go server and
 * client speak it, not as its published document says.
 *
 * Nouns: a *service* is one of our configured volume services, shown under the driver name that its
 * clients have an executor for (`presentAs`); an *instance* is the host that asks; the *attachments
 * mask* chooses which volumes and attachments a list shows.
 *
 * Invariants: every routed answer carries `Libstorage-Servername`; every failure is JSON
 * `{message, status, error}`; what isn't routed (unknown path, wrong method, a POST without a known
 * action, a trailing slash) is Go's `404 page not found` in plain text; `fields` are text to text and
 * sizes whole GiB, or Go clients can't decode them.
 *
 * Caveats: snapshots, copies, tasks (`?async`), executors, help and filters aren't there yet: their
 * routes are unrouted, their queries refused with 501, never ignored. Deliberate differences from the
 * reference are listed in docs/api.md and in the replay test's table.
 */
import type { FastifyPluginAsync } from 'fastify';
import type { Agent } from '../../agent.ts';
import { actionRoutes } from './action-routes.ts';
import { answerError } from './answer-error.ts';
import { CLIENT, readClient } from './client.ts';
import { sendUnrouted } from './reply.ts';
import { serviceRoutes } from './service-routes.ts';
import { volumeRoutes } from './volume-routes.ts';

export const libstorageFace: FastifyPluginAsync<{ agent: Agent }> = async (app, { agent }) => {
  // The tail of the replica id: stable over restarts, and tells this agent from its neighbours.
  const serverName = `holdfast-${agent.identity.replicaId.slice(-8)}`;
  app.decorateRequest(CLIENT, null);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(async (_request, reply) => sendUnrouted(reply));

  // Go clients send no content type at all: any body is JSON, an empty one is `{}`.
  app.removeAllContentTypeParsers();
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, {});
    else void parseJson(request, body as string, done);
  });
  app.addHook('onRequest', async (request, reply) => {
    request.setDecorator(CLIENT, { serverName, instanceIds: [] });
    if (request.is404) return;
    // The router takes `/volumes/` for a service without a name.
    if (Object.values(request.params as object).includes('')) return reply.callNotFound();
    delete request.raw.headers['content-type'];
    request.setDecorator(CLIENT, readClient(request, serverName));
  });
  app.addHook('preValidation', async (request) => {
    if (request.method === 'POST') request.body ??= {};
  });
  serviceRoutes(app, agent);
  volumeRoutes(app, agent);
  actionRoutes(app, agent);
};
