/** Goal: any local process can use the engine: any bytes under any key, exactly what is there, and nothing else. */
import { expect, test, vi } from 'vitest';
import { MiB } from '../../../base/bytes.ts';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { call, callJson, callRaw } from '../../../../test/support/http-call.ts';
import type {
  CompactReply,
  ErrorBody,
  KvBody,
  KvListReply,
  KvStatsReply,
  KvWriteReply,
} from './schema.ts';

const at = (key: string, more = ''): string => `/agent/v1/kv?key=${encodeURIComponent(key)}${more}`;

function put(socket: string, key: string, body: string | Uint8Array, more = '') {
  return callBody<KvWriteReply & Partial<ErrorBody>>(socket, {
    method: 'PUT',
    path: at(key, more),
    body,
  });
}

async function callBody<T>(socket: string, options: Parameters<typeof call>[1]) {
  const { status, text } = await call(socket, options);
  return { status, json: JSON.parse(text) as T };
}

const list = async (socket: string, query: string): Promise<KvListReply> =>
  (await callJson<KvListReply>(socket, { path: `/agent/v1/kv/list${query}` })).json;

test('put, get as JSON and as bytes, delete', async () => {
  const { socket, engine } = await startHttpAgent();
  const first = await put(socket, 'app/color', 'blue');
  const second = await put(socket, 'app/color', 'rot \u{1F534}');
  expect(second.json.revision).toBe(first.json.revision + 1);
  expect(second.json.revision).toBe(engine.revision);
  const { json } = await callJson<KvBody>(socket, { path: at('app/color') });
  expect(json).toEqual({
    key: 'app/color',
    value: Buffer.from('rot \u{1F534}').toString('base64'),
    text: 'rot \u{1F534}',
    createRevision: first.json.revision,
    modRevision: second.json.revision,
    version: 2,
  });
  const headers = ['Accept', 'application/octet-stream'];
  const raw = await call(socket, { path: at('app/color'), headers });
  expect(raw.text).toBe('rot \u{1F534}');
  expect(raw.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'holdfast-revision': String(second.json.revision),
  });
  const deleted = await callBody<KvWriteReply>(socket, { method: 'DELETE', path: at('app/color') });
  expect(deleted).toEqual({ status: 200, json: { revision: second.json.revision + 1 } });
  for (const method of ['GET', 'DELETE']) {
    const gone = await callBody<ErrorBody>(socket, { method, path: at('app/color') });
    expect(gone).toMatchObject({ status: 404, json: { code: 'KeyNotFound' } });
  }
});

test('a value is any bytes, whatever its content type says', async () => {
  const { socket } = await startHttpAgent();
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const [index, type] of [
    'application/json',
    'text/plain',
    'garbage;;',
    '',
    '*/*',
  ].entries()) {
    const path = at(`any/${index}`);
    const headers = ['Content-Type', type];
    expect((await call(socket, { method: 'PUT', path, headers, body: all })).status, type).toBe(
      200,
    );
    const { json } = await callJson<KvBody>(socket, { path });
    expect(Buffer.from(json.value, 'base64').equals(all), type).toBe(true);
    expect(json, type).not.toHaveProperty('text');
  }
  await put(socket, 'empty', '');
  expect((await callJson<KvBody>(socket, { path: at('empty') })).json).toMatchObject({
    value: '',
    text: '',
  });
});

test('a value of 1 MiB is taken, one byte more is not', async () => {
  const { socket, engine } = await startHttpAgent();
  expect((await put(socket, 'big', Buffer.alloc(MiB, 'x'))).status).toBe(200);
  const before = engine.revision;
  // The body isn't waited for.
  const head = `PUT ${at('big')} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n`;
  const tooLarge = await callRaw(socket, `${head}Content-Length: ${MiB + 1}\r\n\r\n`);
  expect(tooLarge).toMatch(/^HTTP\/1\.1 413 /);
  expect(tooLarge).toMatch(/"code":"TooLarge".*"hint":"a kv value is at most 1 MiB/);
  expect(engine.revision).toBe(before);
});

const KEYS = [
  ['x'.repeat(1021), 200],
  ['x'.repeat(1022), 400],
  ['\u{1F600}/a b/%2F/..', 200],
  ['/leading', 200],
  ['a//b', 400],
  ['a/', 400],
  ['/', 400],
  ['a\0b', 400],
] as const;

test('a key is any text of up to 1,021 bytes, its segments not empty', async () => {
  const { socket } = await startHttpAgent();
  for (const [key, status] of KEYS) {
    const label = JSON.stringify(key.slice(0, 32));
    expect((await put(socket, key, 'v')).status, label).toBe(status);
    const got = await call(socket, { path: at(key) });
    const shown = status === 200 ? { key: key.replace(/^\//, '') } : { code: 'InvalidArgument' };
    expect(JSON.parse(got.text), label).toMatchObject(shown);
    expect(got.status, label).toBe(status);
  }
});

test('nothing outside kv/ can be read, listed, written or deleted', async () => {
  const { socket, engine } = await startHttpAgent();
  const [device] = (await engine.list('devices')).kvs;
  expect(device).toBeDefined();
  for (const key of [device!.key, `../${device!.key}`, `/../${device!.key}`]) {
    expect((await call(socket, { path: at(key) })).status, key).toBe(404);
    expect((await call(socket, { method: 'DELETE', path: at(key) })).status, key).toBe(404);
  }
  await put(socket, device!.key, 'mine');
  expect(await engine.get(device!.key)).toEqual(device);
  expect((await list(socket, '')).kvs).toMatchObject([{ key: device!.key, text: 'mine' }]);
});

test('compare-and-swap: 0 means new, a number means that very revision', async () => {
  const { socket } = await startHttpAgent();
  const made = await put(socket, 'lock', 'a', '&ifRevision=0');
  const { revision } = made.json;
  const exists = await put(socket, 'lock', 'b', '&ifRevision=0');
  expect(exists).toMatchObject({ status: 409, json: { code: 'KeyExists' } });
  expect(exists.json.message).toMatch(/^lock exists, at revision \d+$/);
  const swapped = await put(socket, 'lock', 'b', `&ifRevision=${revision}`);
  expect(swapped.status).toBe(200);
  const stale = await put(socket, 'lock', 'c', `&ifRevision=${revision}`);
  expect(stale).toMatchObject({ status: 409, json: { code: 'KeyModified', retry: 'now' } });
  const kept = { method: 'DELETE', path: at('lock', `&ifRevision=${revision}`) };
  expect(await callBody(socket, kept)).toMatchObject({
    status: 409,
    json: { code: 'KeyModified' },
  });
  const path = at('lock', `&ifRevision=${swapped.json.revision}`);
  expect((await call(socket, { method: 'DELETE', path })).status).toBe(200);
});

test('a list is the keys under a path, in order, in pages', async () => {
  const { socket, engine } = await startHttpAgent();
  for (const key of ['b', 'a/2', 'a/1', 'ab', 'a']) await put(socket, key, key);
  const keys = async (query: string) => (await list(socket, query)).kvs.map(({ key }) => key);
  expect(await keys('')).toEqual(['a', 'a/1', 'a/2', 'ab', 'b']);
  // A path, not a beginning of text: neither `ab` nor `a` itself.
  for (const prefix of ['a', '/a', 'a/'])
    expect(await keys(`?prefix=${prefix}`)).toEqual(['a/1', 'a/2']);
  expect(await keys('?prefix=none')).toEqual([]);
  const page = await list(socket, '?limit=2');
  expect(page).toMatchObject({ more: true, revision: engine.revision });
  expect(page.kvs).toHaveLength(2);
  expect(await keys('?limit=2&after=a/1')).toEqual(['a/2', 'ab']);
  expect(await list(socket, '?limit=3&after=a/1')).toMatchObject({ more: false });
});

test('a page of big values ends before it fills the memory', async () => {
  const { socket } = await startHttpAgent();
  // 64 entries, one look at the bytes, are 8 MiB: the page is full.
  const count = 66;
  for (let index = 0; index < count; index += 1) {
    await put(socket, `big/${String(index).padStart(3, '0')}`, Buffer.alloc(MiB / 8));
  }
  const first = await list(socket, '?prefix=big');
  expect(first.kvs).toHaveLength(64);
  expect(first.more).toBe(true);
  const rest = await list(socket, `?prefix=big&after=${first.kvs.at(-1)!.key}`);
  expect(rest.more).toBe(false);
  expect([...first.kvs, ...rest.kvs].map(({ key }) => Number(key.slice(4)))).toEqual([
    ...Array(count).keys(),
  ]);
});

test('a page is of one revision, whatever is written meanwhile; and so are the next ones that ask for it', async () => {
  const { socket, engine } = await startHttpAgent();
  const keys = Array.from({ length: 150 }, (_, index) => `k/${String(index).padStart(3, '0')}`);
  for (const key of keys) await engine.put(`kv/${key}`, Buffer.from('old'));
  const { revision } = engine;
  const original = engine.list.bind(engine);
  // Somebody writes whenever the server has read a part.
  vi.spyOn(engine, 'list').mockImplementation(async (...args) => {
    const part = await original(...args);
    await engine.delete(`kv/${keys[part.kvs.length]}`);
    await engine.put('kv/k/149', Buffer.from('new'));
    return part;
  });
  const seen: KvListReply['kvs'] = [];
  for (let more = true, asOf = ''; more;) {
    const after = seen.length === 0 ? '' : `&after=${seen.at(-1)!.key}`;
    const page = await list(socket, `?prefix=k&limit=100${after}${asOf}`);
    expect(page.revision).toBe(revision);
    seen.push(...page.kvs);
    ({ more } = page);
    asOf = `&revision=${page.revision}`;
  }
  expect(seen.map(({ key }) => key)).toEqual(keys);
  expect(new Set(seen.map(({ text }) => text))).toEqual(new Set(['old']));
});

test('a write may be answered before it is on the disk, and has its time for that bounded', async () => {
  const { socket, engine } = await startHttpAgent();
  const written = vi.spyOn(engine, 'put');
  expect((await put(socket, 'a', '1', '&relaxedMs=500')).status).toBe(200);
  expect((await put(socket, 'a', '1')).status).toBe(200);
  const gone = { method: 'DELETE', path: at('a', '&relaxedMs=500') };
  const deleted = vi.spyOn(engine, 'delete');
  expect((await call(socket, gone)).status).toBe(200);
  expect(written.mock.calls.map(([, , options]) => options?.durability)).toEqual([
    { relaxedMs: 500 },
    undefined,
  ]);
  expect(deleted.mock.calls[0]![1]).toMatchObject({ durability: { relaxedMs: 500 } });
  expect((await put(socket, 'a', '1', '&relaxedMs=60001')).status).toBe(400);
});

test('who holds the history is told, and keeps it from being dropped', async () => {
  const { socket, engine } = await startHttpAgent();
  for (let i = 0; i < 5; i += 1) await engine.put('kv/a', Buffer.from(`${i}`));
  const last = engine.revision;
  engine.hold('sync target one', 2);
  const hold = { name: 'sync target one', revision: 2 };
  const stats = await callBody<KvStatsReply>(socket, { path: '/agent/v1/kv/stats' });
  expect(stats.json).toMatchObject({ compactedRevision: 0, holds: [hold], refusesPuts: false });
  const compact = async (json: object): Promise<CompactReply> => {
    const asked = { method: 'POST', path: '/agent/v1/kv/compact', json };
    return (await callJson<CompactReply>(socket, asked)).json;
  };
  expect(await compact({ revision: 4 })).toEqual({
    revision: last,
    compactedRevision: 2,
    heldBy: hold,
  });
  expect(await compact({ revision: 4, overHolds: true })).toEqual({
    revision: last,
    compactedRevision: 4,
  });
});

test('how it was: a key and a list at an older revision', async () => {
  const { socket, engine } = await startHttpAgent();
  const first = await engine.put('kv/a', Buffer.from('1'));
  await engine.put('kv/a', Buffer.from('2'));
  await engine.put('kv/b', Buffer.from('1'));
  const old = await callBody<KvBody>(socket, { path: at('a', `&revision=${first}`) });
  expect(old.json).toMatchObject({ text: '1', modRevision: first, version: 1 });
  const missing = await callBody<ErrorBody>(socket, { path: at('b', `&revision=${first}`) });
  expect(missing).toMatchObject({
    status: 404,
    json: { message: `no key "b" at revision ${first}` },
  });
  const listed = await list(socket, `?revision=${first}`);
  expect(listed).toMatchObject({ revision: first, incarnation: engine.incarnation });
  expect(listed.kvs.map(({ text }) => text)).toEqual(['1']);
  for (const path of [at('a', '&revision=999'), '/agent/v1/kv/list?revision=999']) {
    expect(await callBody(socket, { path }), path).toMatchObject({
      status: 400,
      json: { code: 'InvalidArgument' },
    });
  }
  await engine.compact(engine.revision);
  for (const path of [at('a', `&revision=${first}`), `/agent/v1/kv/list?revision=${first}`]) {
    expect(await callBody(socket, { path }), path).toMatchObject({
      status: 410,
      json: { code: 'Compacted' },
    });
  }
});

test('a list of one key, of a range, and of keys only', async () => {
  const { socket } = await startHttpAgent();
  for (const key of ['b', 'a/2', 'a/1', 'ab', 'a']) await put(socket, key, key);
  const keys = async (query: string) => (await list(socket, query)).kvs.map(({ key }) => key);
  expect(await keys('?key=a')).toEqual(['a']);
  expect(await keys('?fromKey=a/2')).toEqual(['a/2', 'ab', 'b']);
  expect(await keys('?fromKey=/a/2&beforeKey=/b')).toEqual(['a/2', 'ab']);
  expect(await keys('?beforeKey=a/2')).toEqual(['a', 'a/1']);
  expect(await keys('?fromKey=a&after=a/1&limit=1')).toEqual(['a/2']);
  const [only] = (await list(socket, '?key=a&keysOnly')).kvs;
  expect(only).toMatchObject({ key: 'a', version: 1 });
  expect(only).not.toHaveProperty('value');
  expect(only).not.toHaveProperty('text');
});

test('nothing outside kv/ is in any span, whatever its bounds are', async () => {
  const { socket, engine } = await startHttpAgent();
  for (const key of ['a/secret', 'kv', 'kv0', 'volumes/secret']) {
    await engine.put(key, Buffer.from('x'));
  }
  await put(socket, 'mine', 'x');
  for (const query of [
    'fromKey=',
    'fromKey=%00',
    'beforeKey=%F4%8F%BF%BF',
    'fromKey=../',
    'prefix=/',
  ]) {
    const { kvs } = await list(socket, `?${query}`);
    expect(
      kvs.map(({ key }) => key),
      query,
    ).toEqual(['mine']);
  }
  expect((await list(socket, '?fromKey=n')).kvs).toEqual([]);
});

const REFUSED = [
  ['GET', '/agent/v1/kv', 'query must have "key"'],
  ['GET', '/agent/v1/kv?key=', '"key" must NOT have fewer than 1 characters'],
  ['GET', '/agent/v1/kv?ky=a', 'query must have "key"'],
  ['PUT', '/agent/v1/kv?key=a&ifRevison=1', 'query has an unknown property "ifRevison"'],
  ['PUT', '/agent/v1/kv?key=a&ifRevision=-1', '"ifRevision" must be >= 0'],
  ['PUT', '/agent/v1/kv?key=a&ifRevision=soon', '"ifRevision" must be integer'],
  ['DELETE', '/agent/v1/kv?key=a&key=b', '"key" must be string'],
  ['GET', '/agent/v1/kv/list?limit=0', '"limit" must be >= 1'],
  ['GET', '/agent/v1/kv/list?limit=10001', '"limit" must be <= 10000'],
  ['GET', '/agent/v1/kv/list?prefix=a//b', 'is not a key'],
  ['PUT', '/agent/v1/kv?key=a&relaxedMs=0', '"relaxedMs" must be >= 1'],
  ['GET', '/agent/v1/kv/list?key=a&prefix=b', 'name its keys in one way'],
  ['GET', '/agent/v1/kv/list?keysOnly=1', '"keysOnly" must be equal to one of'],
  ['GET', '/agent/v1/kv/watch?only=get', '"only" must be equal to one of'],
  ['GET', '/agent/v1/kv/watch?progressSeconds=0', '"progressSeconds" must be >= 1'],
  ['GET', '/agent/v1/kv/watch?from=x', '"from" must be integer'],
  ['GET', '/agent/v1/kv/watch?prefix=a%00', 'is not a key'],
  ['POST', '/agent/v1/kv?key=a', 'no route POST /agent/v1/kv'],
] as const;

test('what is refused', async () => {
  const { socket } = await startHttpAgent();
  for (const [method, path, message] of REFUSED) {
    const { status, text } = await call(socket, { method, path });
    expect(JSON.parse(text), path).toMatchObject({ message: expect.stringContaining(message) });
    expect(status, path).toBe(method === 'POST' ? 404 : 400);
  }
});
