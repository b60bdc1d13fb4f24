/** Goal: a transaction of the API is one of the engine's, on the user's keys alone; what can't be meant is refused whole. */
import { expect, test, vi } from 'vitest';
import { MiB } from '../../../base/bytes.ts';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { callJson } from '../../../../test/support/http-call.ts';
import type { ErrorBody, TxnReply, TxnRequest } from './schema.ts';

const PATH = '/agent/v1/kv/txn';

function post<T = TxnReply>(socket: string, json: unknown) {
  return callJson<T>(socket, { method: 'POST', path: PATH, json });
}

async function txn(socket: string, request: TxnRequest): Promise<TxnReply> {
  const answer = await post(socket, request);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

test('compares decide which branch is done, at one revision', async () => {
  const { socket, engine } = await startHttpAgent();
  const before = engine.revision;
  const request: TxnRequest = {
    compares: [{ key: 'owner', target: 'version', operator: '=', number: 0 }],
    then: [
      { type: 'put', key: 'owner', text: 'mé' },
      { type: 'put', key: 'bytes', value: 'AP8=' },
    ],
    else: [{ type: 'get', prefix: '' }],
  };
  expect(await txn(socket, request)).toEqual({
    succeeded: true,
    revision: before + 1,
    results: [{ type: 'put' }, { type: 'put' }],
  });
  expect((await engine.get('kv/bytes'))!.value).toEqual(Uint8Array.of(0, 255));
  const second = await txn(socket, request);
  expect(second).toMatchObject({ succeeded: false, revision: before + 1 });
  expect(second.results).toEqual([
    {
      type: 'get',
      more: false,
      kvs: [
        {
          key: 'bytes',
          value: 'AP8=',
          createRevision: before + 1,
          modRevision: before + 1,
          version: 1,
        },
        {
          key: 'owner',
          value: Buffer.from('mé').toString('base64'),
          text: 'mé',
          createRevision: before + 1,
          modRevision: before + 1,
          version: 1,
        },
      ],
    },
  ]);
});

test('each target and operator, on a key, a prefix and a range', async () => {
  const { socket, engine } = await startHttpAgent();
  const lease = await engine.leases.grant(60);
  const made = await engine.put('kv/a/1', Buffer.from('x'), { lease });
  await engine.put('kv/a/2', Buffer.from('y'), { lease });
  const holds = async (compare: NonNullable<TxnRequest['compares']>[number]): Promise<boolean> =>
    (await txn(socket, { compares: [compare] })).succeeded;
  const cases = [
    [{ key: 'a/1', target: 'createRevision', operator: '=', number: made }, true],
    [{ key: 'a/1', target: 'modRevision', operator: '>', number: made }, false],
    [{ prefix: 'a', target: 'modRevision', operator: '>', number: made - 1 }, true],
    [{ prefix: 'a', target: 'lease', operator: '=', number: lease }, true],
    [{ fromKey: 'a/2', target: 'version', operator: '<', number: 1 }, false],
    [{ fromKey: 'a/', beforeKey: 'b', target: 'value', operator: '!=', text: 'z' }, true],
    [
      { key: 'a/1', target: 'value', operator: '<', value: Buffer.from('y').toString('base64') },
      true,
    ],
  ] as const;
  for (const [compare, held] of cases) {
    expect(await holds(compare), JSON.stringify(compare)).toBe(held);
  }
});

test('what was there before, how many were deleted, and reads that see the writes before them', async () => {
  const { socket, engine } = await startHttpAgent();
  const lease = await engine.leases.grant(60);
  for (const key of ['d/1', 'd/2', 'e']) await engine.put(`kv/${key}`, Buffer.from(key));
  const { results } = await txn(socket, {
    then: [
      { type: 'put', key: 'e', text: 'new', lease, previous: true },
      { type: 'put', key: 'f', text: 'f', previous: true },
      { type: 'delete', prefix: 'd', previous: true },
      { type: 'get', fromKey: '', limit: 1 },
    ],
  });
  expect(results).toMatchObject([
    { type: 'put', previous: [{ key: 'e', text: 'e' }] },
    { type: 'put' },
    { type: 'delete', deleted: 2, previous: [{ key: 'd/1' }, { key: 'd/2' }] },
    { type: 'get', more: true, kvs: [{ key: 'e', text: 'new', lease }] },
  ]);
  expect(results[1]).not.toHaveProperty('previous');
});

test('answered before it is on the disk, when asked for', async () => {
  const { socket, engine } = await startHttpAgent();
  const done = vi.spyOn(engine, 'transact');
  await txn(socket, { then: [{ type: 'put', key: 'a', text: '1' }], relaxedMs: 200 });
  expect(done.mock.calls[0]![0].durability).toEqual({ relaxedMs: 200 });
});

test('nothing outside kv/ can be compared, read, written or deleted', async () => {
  const { socket, engine } = await startHttpAgent();
  const [device] = (await engine.list('devices')).kvs;
  const all = await engine.list('');
  const request: TxnRequest = {
    compares: [{ key: device!.key, target: 'version', operator: '=', number: 0 }],
    then: [
      { type: 'delete', prefix: '/' },
      { type: 'delete', fromKey: '' },
      { type: 'get', fromKey: '../' },
      { type: 'get', prefix: 'devices' },
    ],
  };
  expect(await txn(socket, request)).toMatchObject({
    succeeded: true,
    results: [{ deleted: 0 }, { deleted: 0 }, { kvs: [] }, { kvs: [] }],
  });
  expect((await engine.list('')).kvs).toEqual(all.kvs);
  const taken = await post<ErrorBody>(socket, {
    then: [{ type: 'put', key: 'a', text: '1', lease: 4711 }],
  });
  expect(taken).toMatchObject({ status: 404, json: { code: 'NotFound' } });
});

const put = { type: 'put', key: 'a', text: '1' };
const compare = { key: 'a', target: 'version', operator: '=' };

test.each([
  [
    'two ways to name keys',
    { then: [{ type: 'get', key: 'a', prefix: 'b' }] },
    '"then.0" must name',
  ],
  ['no keys', { else: [{ type: 'delete' }] }, '"else.0" must name its keys in one way'],
  [
    'a put of a prefix',
    { then: [put, { type: 'put', prefix: 'a', text: '1' }] },
    '"then.1": a put names one "key"',
  ],
  ['a put without a value', { then: [{ type: 'put', key: 'a' }] }, 'either "text" or "value"'],
  ['a put of two values', { then: [{ ...put, value: '' }] }, 'either "text" or "value"'],
  ['what is not base64', { then: [{ type: 'put', key: 'a', value: 'é' }] }, 'not base64'],
  ['a get with a value', { then: [{ type: 'get', key: 'a', text: '' }] }, 'a get has no "value"'],
  [
    'a delete with a limit',
    { then: [{ type: 'delete', key: 'a', limit: 1 }] },
    'a delete has no "limit"',
  ],
  [
    'a get with previous',
    { then: [{ type: 'get', key: 'a', previous: true }] },
    'a get has no "previous"',
  ],
  ['a number without a number', { compares: [compare] }, 'is compared with a "number"'],
  [
    'a number against text',
    { compares: [{ ...compare, text: '1' }] },
    'is compared with a "number"',
  ],
  [
    'a value against a number',
    { compares: [{ ...compare, target: 'value', number: 1 }] },
    '"number" is for',
  ],
  [
    'an unknown target',
    { compares: [{ ...compare, target: 'size', number: 1 }] },
    'compares.0.target',
  ],
  ['an unknown member', { compare: [] }, 'did you mean "compares"?'],
  ['a key twice', { then: [put, put] }, 'a'],
  ['a key that is none', { then: [{ ...put, key: 'a//b' }] }, 'is not a key'],
  [
    'too many ops',
    { then: Array.from({ length: 1025 }, (_, i) => ({ ...put, key: `k${i}` })) },
    '1025',
  ],
])('%s: refused, and nothing is written', async (_what, json, words) => {
  const { socket, engine } = await startHttpAgent();
  const before = engine.revision;
  const answer = await post<ErrorBody>(socket, json);
  expect([400, 413]).toContain(answer.status);
  expect(`${answer.json.message} ${answer.json.hint}`).toContain(words);
  expect(answer.json.message).not.toContain('kv/');
  expect(engine.revision).toBe(before);
});

test('a body beyond 4 MiB is refused before it is read', async () => {
  const { socket } = await startHttpAgent();
  const text = 'x'.repeat(4 * MiB);
  const answer = await post<ErrorBody>(socket, { then: [{ ...put, text }] });
  expect(answer).toMatchObject({ status: 413, json: { code: 'TooLarge' } });
  expect(answer.json.hint).toContain('4 MiB');
});
