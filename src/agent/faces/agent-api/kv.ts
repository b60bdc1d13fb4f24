import type { FastifyPluginAsync } from 'fastify';
import { MiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { Agent } from '../../agent.ts';
import { isSet } from './flag.ts';
import { page } from './kv-page.ts';
import {
  KvBody,
  KvListQuery,
  KvListReply,
  KvPutQuery,
  KvQuery,
  KvDeleteQuery,
  KvWriteReply,
} from './schema.ts';
import type { ApiInstance } from './type-provider.ts';
import { durabilityOf, inWordsOf, kvBody, userKey, userSpanOrAll } from './user-keys.ts';

/** The engine's limit for a value. */
const VALUE_BYTES_MAX = 1 * MiB;

/** kv get, list, put (with compare-and-swap), delete. */
export const kvRoutes: FastifyPluginAsync<{ agent: Agent }> = async (plugin, { agent }) => {
  const app = plugin as ApiInstance;
  const { engine } = agent;
  acceptAnyBody(app);
  app.get(
    '/kv',
    { schema: { querystring: KvQuery, response: { 200: KvBody } } },
    async (request, reply) => {
      const { key, revision } = request.query;
      const kv = await engine.get(userKey(key), { revision });
      if (kv === undefined) throw keyNotFound(key, revision);
      if (request.headers.accept !== 'application/octet-stream') return kvBody(kv);
      reply.header('holdfast-revision', kv.modRevision).type('application/octet-stream');
      // Bytes are not serialized by the schema; the cast says so to the types.
      return reply.send(Buffer.from(kv.value) as never);
    },
  );
  app.get(
    '/kv/list',
    { schema: { querystring: KvListQuery, response: { 200: KvListReply } } },
    async (request) => {
      const { after, limit, revision, keysOnly, ...span } = request.query;
      return page(engine, userSpanOrAll(span, 'query'), {
        after: after === undefined ? undefined : userKey(after),
        limit,
        revision,
        keysOnly: isSet(keysOnly),
      });
    },
  );
  app.put(
    '/kv',
    {
      bodyLimit: VALUE_BYTES_MAX,
      schema: { querystring: KvPutQuery, response: { 200: KvWriteReply } },
    },
    async (request) => {
      const { ifRevision, lease, relaxedMs } = request.query;
      const key = userKey(request.query.key);
      const value = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const options = { ifRevision, lease, durability: durabilityOf(relaxedMs) };
      return { revision: await inWordsOf([key], engine.put(key, value, options)) };
    },
  );
  app.delete(
    '/kv',
    { schema: { querystring: KvDeleteQuery, response: { 200: KvWriteReply } } },
    async (request) => {
      const { ifRevision, relaxedMs } = request.query;
      const key = userKey(request.query.key);
      const options = { ifRevision, durability: durabilityOf(relaxedMs) };
      const revision = await inWordsOf([key], engine.delete(key, options));
      if (revision === undefined) throw keyNotFound(request.query.key);
      return { revision };
    },
  );
};

/** A value is bytes: its content type says nothing to us, not even when it is malformed. */
function acceptAnyBody(app: ApiInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', async (request) => {
    delete request.raw.headers['content-type'];
  });
}

function keyNotFound(key: string, revision?: number): HoldfastError {
  const when = revision === undefined ? '' : ` at revision ${revision}`;
  return new HoldfastError('KeyNotFound', `no key "${key}"${when}`, { hint: 'holdfast kv ls' });
}
