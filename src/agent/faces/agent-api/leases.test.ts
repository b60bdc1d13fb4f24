/** Goal: whoever may use the socket has leases that keep their keys and end them, and none of the agent's own. */
import { expect, test } from 'vitest';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { call, callJson } from '../../../../test/support/http-call.ts';
import type {
  ErrorBody,
  KvBody,
  KvListReply,
  LeaseBody,
  LeaseKeysReply,
  LeasesReply,
  RevokeLeaseReply,
} from './schema.ts';

const LEASES = '/agent/v1/leases';

async function grant(socket: string, ttlSeconds: number): Promise<LeaseBody> {
  const answer = await callJson<LeaseBody>(socket, {
    method: 'POST',
    path: LEASES,
    json: { ttlSeconds },
  });
  expect(answer.status).toBe(201);
  return answer.json;
}

function put(socket: string, key: string, lease: number) {
  const path = `/agent/v1/kv?key=${key}&lease=${lease}`;
  return call(socket, { method: 'PUT', path, body: 'v' });
}

test('granted, shown, kept alive, and revoked with its keys in one revision', async () => {
  const { socket, engine } = await startHttpAgent();
  const { id } = await grant(socket, 60);
  for (const key of ['b', 'a/x']) expect((await put(socket, key, id)).status).toBe(200);
  const kv = await callJson<KvBody>(socket, { path: '/agent/v1/kv?key=b' });
  expect(kv.json.lease).toBe(id);
  const all = await callJson<KvListReply>(socket, { path: '/agent/v1/kv/list' });
  expect(all.json.kvs.map(({ lease }) => lease)).toEqual([id, id]);

  const shown = await callJson<LeaseKeysReply>(socket, { path: `${LEASES}/${id}` });
  expect(shown.json).toMatchObject({ id, ttlSeconds: 60, keys: ['a/x', 'b'] });
  const { leases } = (await callJson<LeasesReply>(socket, { path: LEASES })).json;
  expect(leases).toMatchObject([{ id, ttlSeconds: 60 }]);
  const kept = { method: 'POST', path: `${LEASES}/${id}/keepalive` };
  const before = engine.revision;
  expect(await callJson(socket, kept)).toMatchObject({
    status: 200,
    json: { id, ttlSeconds: 60, remainingMs: 60_000 },
  });
  expect(engine.revision).toBe(before);

  const revoke = { method: 'DELETE', path: `${LEASES}/${id}` };
  const { json } = await callJson<RevokeLeaseReply>(socket, revoke);
  expect(json).toEqual({ revision: before + 1 });
  const left = await callJson<KvListReply>(socket, { path: '/agent/v1/kv/list' });
  expect(left.json.kvs).toEqual([]);
  for (const gone of [revoke, kept, { path: `${LEASES}/${id}` }]) {
    const answer = await callJson<ErrorBody>(socket, gone);
    expect(answer).toMatchObject({ status: 404, json: { code: 'NotFound' } });
  }
  expect((await put(socket, 'a', id)).status).toBe(404);
});

test('one without keys ends with no revision', async () => {
  const { socket } = await startHttpAgent();
  const { id } = await grant(socket, 1);
  const revoked = await callJson(socket, { method: 'DELETE', path: `${LEASES}/${id}` });
  expect(revoked).toMatchObject({ status: 200, json: {} });
});

test("a lease that holds a key of the agent's own can't be seen into, kept or ended", async () => {
  const { socket, engine } = await startHttpAgent();
  const id = await engine.leases.grant(60);
  await engine.put('host/secret', Buffer.from('x'), { lease: id });
  for (const [method, more] of [
    ['GET', ''],
    ['POST', '/keepalive'],
    ['DELETE', ''],
  ] as const) {
    const answer = await callJson<ErrorBody>(socket, { method, path: `${LEASES}/${id}${more}` });
    expect(answer, method).toMatchObject({ status: 404, json: { code: 'NotFound' } });
    expect(answer.text).not.toContain('secret');
  }
  expect(await engine.get('host/secret')).toBeDefined();
});

test.each([
  ['POST', '', { ttlSeconds: 0 }, '"ttlSeconds" must be >= 1'],
  ['POST', '', { ttlSeconds: '5' }, '"ttlSeconds" must be integer'],
  ['POST', '', { ttlSeconds: 604_801 }, 'is not a whole number from 1 to 604800'],
  ['POST', '', { ttl: 5 }, 'body must have "ttlSeconds"'],
  ['GET', '/x', undefined, '"id" must be integer'],
  ['DELETE', '/0', undefined, '"id" must be >= 1'],
  ['GET', '?all', undefined, 'unknown property "all"'],
])('%s %s %j is refused', async (method, more, json, words) => {
  const { socket } = await startHttpAgent();
  const answer = await callJson<ErrorBody>(socket, { method, path: `${LEASES}${more}`, json });
  expect(answer).toMatchObject({ status: 400, json: { code: 'InvalidArgument' } });
  expect(answer.json.message).toContain(words);
});
