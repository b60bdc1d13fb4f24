import { isUtf8 } from 'node:buffer';
import type { FastifyPluginAsync } from 'fastify';
import { MiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { Engine, KeyValue } from '../../../engine/index.ts';
import type { Agent } from '../../agent.ts';
import {
  KvBody,
  KvListQuery,
  KvListReply,
  KvQuery,
  KvWriteQuery,
  KvWriteReply,
  PAGE_ENTRIES_MAX,
} from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** Where the user's keys live in the engine. Nothing outside can be named through this API. */
const USER_PREFIX = 'kv';
/** The engine takes keys of 1024 bytes; ours have `kv/` in front. */
const USER_KEY_BYTES_MAX = 1021;
/** The engine's limit for a value. */
const VALUE_BYTES_MAX = 1 * MiB;
/** A page ends after this much, whatever its `limit`: as base64 it is 11 MiB of answer. */
const PAGE_BYTES_MAX = 8 * MiB;
/** Entries asked of the engine at once, so that a page of big values is noticed in time. */
const PAGE_STEP_ENTRIES = 64;

const decoder = new TextDecoder();

/** kv get, list, put (with compare-and-swap), delete. */
export const kvRoutes: FastifyPluginAsync<{ agent: Agent }> = async (plugin, { agent }) => {
  const app = plugin as ApiInstance;
  const { engine } = agent;
  acceptAnyBody(app);
  app.get(
    '/kv',
    { schema: { querystring: KvQuery, response: { 200: KvBody } } },
    async (request, reply) => {
      const { key } = request.query;
      const kv = await engine.get(userKey(key));
      if (kv === undefined) throw keyNotFound(key);
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
      const { prefix, after, limit } = request.query;
      return page(
        engine,
        userPrefix(prefix),
        after === undefined ? undefined : userKey(after),
        limit,
      );
    },
  );
  app.put(
    '/kv',
    {
      bodyLimit: VALUE_BYTES_MAX,
      schema: { querystring: KvWriteQuery, response: { 200: KvWriteReply } },
    },
    async (request) => {
      const { key, ifRevision } = request.query;
      const value = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      return { revision: await inWordsOf(key, engine.put(userKey(key), value, { ifRevision })) };
    },
  );
  app.delete(
    '/kv',
    { schema: { querystring: KvWriteQuery, response: { 200: KvWriteReply } } },
    async (request) => {
      const { key, ifRevision } = request.query;
      const revision = await inWordsOf(key, engine.delete(userKey(key), { ifRevision }));
      if (revision === undefined) throw keyNotFound(key);
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

/** Each page is exact at its `revision`: it ends early rather than mixing two states. */
async function page(
  engine: Engine,
  prefix: string,
  after: string | undefined,
  limit = PAGE_ENTRIES_MAX,
) {
  const kvs: KvBody[] = [];
  let revision: number | undefined;
  let bytes = 0;
  let last = after;
  for (;;) {
    const step = Math.min(PAGE_STEP_ENTRIES, limit - kvs.length);
    const result = await engine.list(prefix, { after: last, limit: step });
    revision ??= result.revision;
    if (result.revision !== revision) return { kvs, revision, more: true };
    for (const kv of result.kvs) {
      kvs.push(kvBody(kv));
      bytes += kv.value.byteLength;
      last = kv.key;
    }
    const full = kvs.length >= limit || bytes >= PAGE_BYTES_MAX;
    if (full || !result.more) return { kvs, revision, more: result.more };
  }
}

export function kvBody(kv: KeyValue): KvBody {
  const bytes = Buffer.from(kv.value.buffer, kv.value.byteOffset, kv.value.byteLength);
  return {
    key: shownKey(kv.key),
    value: bytes.toString('base64'),
    ...(isUtf8(bytes) ? { text: decoder.decode(bytes) } : {}),
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    version: kv.version,
  };
}

export function shownKey(engineKey: string): string {
  return engineKey.slice(USER_PREFIX.length + 1);
}

/** The engine's own rules: a leading `/` is the same key. @throws InvalidArgument */
export function userKey(key: string): string {
  const bare = key.startsWith('/') ? key.slice(1) : key;
  const bytes = Buffer.byteLength(bare);
  if (bytes > USER_KEY_BYTES_MAX) {
    throw new HoldfastError(
      'InvalidArgument',
      `the key is ${bytes} bytes long, at most ${USER_KEY_BYTES_MAX} are allowed`,
    );
  }
  if (bare === '' || bare.includes('\0') || bare.split('/').includes('')) {
    const shown = JSON.stringify(bare.length > 64 ? `${bare.slice(0, 64)}…` : bare);
    throw new HoldfastError(
      'InvalidArgument',
      `${shown} is not a key: it is empty, or has an empty segment or a NUL`,
      {
        hint: 'a key is text such as app/settings/color, its segments separated by single slashes',
      },
    );
  }
  return `${USER_PREFIX}/${bare}`;
}

/** `''` is all of the user's keys; a trailing `/` changes nothing. */
export function userPrefix(prefix = ''): string {
  const bare = prefix.replace(/^\//, '').replace(/\/$/, '');
  return bare === '' ? USER_PREFIX : userKey(bare);
}

/** The engine's errors name its own key; the user's is without our prefix. */
async function inWordsOf<T>(key: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError)) throw thrown;
    const message = thrown.message.replace(userKey(key), () => shownKey(userKey(key)));
    const { hint, retry } = thrown;
    throw new HoldfastError(thrown.code, message, { hint, retry, cause: thrown });
  }
}

function keyNotFound(key: string): HoldfastError {
  return new HoldfastError('KeyNotFound', `no key "${key}"`, { hint: 'holdfast kv ls' });
}
