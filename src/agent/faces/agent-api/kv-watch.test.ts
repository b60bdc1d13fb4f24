/** Goal: a watcher sees each change once, in order, however slow it is, and learns when it can't go on. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { KiB } from '../../../base/bytes.ts';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { callJson, openStream, type OpenStream } from '../../../../test/support/http-call.ts';
import type { ErrorBody, KvWatchLine } from './schema.ts';

const WATCHES_MAX = 256;

async function watch(socket: string, query = ''): Promise<OpenStream> {
  const stream = await openStream(socket, `/agent/v1/kv/watch${query}`);
  onTestFinished(() => stream.close());
  return stream;
}

const line = async (stream: OpenStream): Promise<KvWatchLine> =>
  (await stream.next()) as KvWatchLine;

test('a line per revision, deletes without a value, other prefixes not at all', async () => {
  const { socket, engine } = await startHttpAgent();
  const start = engine.revision;
  const stream = await watch(socket, '?prefix=app');
  expect(stream).toMatchObject({
    status: 200,
    headers: { 'content-type': 'application/x-ndjson' },
  });
  // The first line says that the watch is on: from here nothing is missed.
  expect(await line(stream)).toEqual({
    revision: start,
    incarnation: engine.incarnation,
    changes: [],
  });
  await engine.put('kv/app/a', Buffer.from('1'));
  await engine.put('kv/apple', Buffer.from('x'));
  await engine.put('devices/x', Buffer.from('x'));
  await engine.txn(
    [],
    [
      { type: 'put', key: 'kv/app/b', value: Uint8Array.of(255) },
      { type: 'delete', key: 'kv/app/a' },
    ],
  );
  expect(await line(stream)).toEqual({
    revision: start + 1,
    changes: [
      {
        type: 'put',
        key: 'app/a',
        value: 'MQ==',
        text: '1',
        createRevision: start + 1,
        modRevision: start + 1,
        version: 1,
      },
    ],
  });
  const second = await line(stream);
  expect(second.revision).toBe(start + 4);
  expect(second.changes).toHaveLength(2);
  expect(second.changes).toContainEqual({
    type: 'put',
    key: 'app/b',
    value: '/w==',
    createRevision: start + 4,
    modRevision: start + 4,
    version: 1,
  });
  const deleted = second.changes.find(({ type }) => type === 'delete');
  expect(deleted).toMatchObject({ key: 'app/a', modRevision: start + 4 });
  expect(deleted).not.toHaveProperty('value');
  expect(deleted).not.toHaveProperty('text');
});

test('from a revision on: what happened since comes first', async () => {
  const { socket, engine } = await startHttpAgent();
  const first = await engine.put('kv/a', Buffer.from('1'));
  await engine.put('kv/a', Buffer.from('2'));
  const stream = await watch(socket, `?from=${first}`);
  expect(await line(stream)).toMatchObject({ revision: first - 1, changes: [] });
  expect((await line(stream)).changes).toMatchObject([{ text: '1' }]);
  expect((await line(stream)).changes).toMatchObject([{ text: '2' }]);
  await engine.put('kv/a', Buffer.from('3'));
  expect((await line(stream)).changes).toMatchObject([{ text: '3' }]);
});

test('from a revision that is gone: the last line says so', async () => {
  const { socket, engine } = await startHttpAgent();
  for (let index = 0; index < 10; index += 1) await engine.put('kv/a', Buffer.from(`${index}`));
  await engine.compact(engine.revision - 2);
  const stream = await watch(socket, '?from=1');
  expect(await line(stream)).toMatchObject({ revision: 0, changes: [] });
  expect(await stream.next()).toMatchObject({ code: 'Compacted', retry: 'never' });
  expect(await stream.next()).toBeUndefined();
});

test('progress tells up to where all was seen, so that a client can go on from there', async () => {
  const { socket, engine } = await startHttpAgent();
  const stream = await watch(socket, '?prefix=app&progressSeconds=1');
  await line(stream);
  const first = await engine.put('kv/app/a', Buffer.from('1'));
  expect((await line(stream)).revision).toBe(first);
  const other = await engine.put('kv/other', Buffer.from('1'));
  for (let beat = 0; beat < 2; beat += 1) {
    expect(await line(stream)).toEqual({ revision: other, changes: [] });
  }
});

test('a key, a range, puts or deletes only, what was there before', async () => {
  const { socket, engine } = await startHttpAgent();
  const from = engine.revision + 1;
  const write = (key: string, text: string) => engine.put(`kv/${key}`, Buffer.from(text));
  await write('a', '1');
  await write('a/x', '2');
  await write('b', '3');
  await write('b', '4');
  await engine.delete('kv/a');
  const end = await write('z', 'end');
  const seen = async (query: string): Promise<string[]> => {
    const stream = await watch(socket, `?from=${from}&progressSeconds=1&${query}`);
    await line(stream);
    const got: string[] = [];
    for (;;) {
      const { revision, changes } = await line(stream);
      for (const { type, key, text, previous } of changes) {
        got.push(`${type} ${key} ${text ?? ''} ${previous?.text ?? ''}`.trim());
      }
      if (revision >= end) return got;
    }
  };
  expect(await seen('key=a')).toEqual(['put a 1', 'delete a']);
  expect(await seen('prefix=a')).toEqual(['put a/x 2']);
  expect(await seen('fromKey=a/&beforeKey=c')).toEqual(['put a/x 2', 'put b 3', 'put b 4']);
  expect(await seen('beforeKey=b&previous')).toEqual(['put a 1', 'put a/x 2', 'delete a  1']);
  expect(await seen('fromKey=b&previous=true')).toEqual(['put b 3', 'put b 4 3', 'put z end']);
  expect(await seen('only=delete')).toEqual(['delete a']);
  expect(await seen('key=a&only=put')).toEqual(['put a 1']);
});

test('a revision of another store is refused: it would mean something else here', async () => {
  const { socket, engine } = await startHttpAgent();
  const path = '/agent/v1/kv/watch?from=1&incarnation=';
  const refused = await callJson<ErrorBody>(socket, { path: `${path}another` });
  expect(refused).toMatchObject({ status: 410, json: { code: 'Compacted' } });
  const stream = await watch(socket, `?from=1&incarnation=${engine.incarnation}`);
  expect(stream.status).toBe(200);
});

test('a slow client gets every change once and in order, from the log', async () => {
  const { socket, engine } = await startHttpAgent();
  const stream = await watch(socket, '?prefix=slow');
  await line(stream);
  // Far more than the buffers of a socket hold.
  const count = 300;
  const value = Buffer.alloc(64 * KiB, 'x');
  for (let index = 0; index < count; index += 1) await engine.put(`kv/slow/${index}`, value);
  for (let index = 0; index < count; index += 1) {
    const { changes } = await line(stream);
    expect(changes).toHaveLength(1);
    expect(changes[0]!.key).toBe(`slow/${index}`);
  }
});

test('readers that take nothing are ended when too much waits for them; the others go on', async () => {
  const { socket, engine } = await startHttpAgent();
  for (let n = 0; n < 6; n += 1) await engine.put(`kv/big/${n}`, Buffer.alloc(1024 * KiB, 'x'));
  const streams = await Promise.all(
    Array.from({ length: 20 }, () => watch(socket, '?prefix=big&from=1')),
  );
  // Nobody reads yet. Then all do: who was not ended gets everything.
  await engine.put('kv/big/last', Buffer.from('1'));
  let whole = 0;
  for (const stream of streams) whole += (await readsAll(stream, 'big/last')) ? 1 : 0;
  expect(whole).toBeGreaterThan(0);
  expect(whole).toBeLessThan(10);
});

async function readsAll(stream: OpenStream, lastKey: string): Promise<boolean> {
  try {
    for (;;) {
      const { changes } = await line(stream);
      if (changes.some(({ key }) => key === lastKey)) return true;
    }
  } catch {
    return false;
  }
}

test('when the agent stops, the last line says so', async () => {
  const { socket, http } = await startHttpAgent();
  const stream = await watch(socket);
  await line(stream);
  const closed = http.close();
  expect(await stream.next()).toMatchObject({
    code: 'Unavailable',
    message: 'the agent is stopping',
  });
  expect(await stream.next()).toBeUndefined();
  await closed;
});

test('the number of watches is bounded, and one that ended makes room', async () => {
  const { socket } = await startHttpAgent();
  const streams: OpenStream[] = [];
  for (let count = 0; count < WATCHES_MAX; count += 1) streams.push(await watch(socket));
  const path = '/agent/v1/kv/watch';
  const refused = await callJson<ErrorBody>(socket, { path });
  expect(refused.status).toBe(503);
  expect(refused.json).toMatchObject({
    code: 'Unavailable',
    message: expect.stringContaining(`${WATCHES_MAX} watches`),
    hint: expect.any(String),
  });
  streams[0]!.close();
  await vi.waitFor(async () => expect((await watch(socket)).status).toBe(200));
});
