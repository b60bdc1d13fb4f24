/**
 * Goal: whatever a client sends or fails to send, it gets one JSON answer or its end, the others are
 * served, and closing the server lets running requests finish.
 */
import { existsSync, lstatSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { MiB } from '../base/bytes.ts';
import { startHttpAgent } from '../../test/support/http-agent.ts';
import { call, callJson, callRaw } from '../../test/support/http-call.ts';
import type { ErrorBody } from './faces/agent-api/index.ts';

/** Status line, the body's JSON, and whether there is anything else. */
function parseRaw(text: string) {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [first = '', ...headers] = head.split('\r\n');
  const json = body.startsWith('{') ? (JSON.parse(body) as ErrorBody) : undefined;
  return { first, headers, json };
}

async function open(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

const TEN_BYTES = 'PUT /agent/v1/kv?key=a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n';

test('the socket is there with mode 0660 while it listens, and gone afterwards', async () => {
  const { http, socket, listening } = await startHttpAgent();
  expect(listening.socketPath).toBe(socket);
  expect(lstatSync(socket).mode & 0o777).toBe(0o660);
  await http.close();
  await http.close();
  expect(existsSync(socket)).toBe(false);
});

test('a second agent on the same socket is refused, and the first goes on', async () => {
  const { socket, core } = await startHttpAgent();
  await expect(startHttpAgent({ socketPath: socket })).rejects.toMatchObject({ code: 'Locked' });
  const { text } = await call(socket, { path: '/agent/v1/host' });
  expect(text).toContain(core.identity.replicaId);
});

test('headers of up to 1 MiB are taken: clients send their whole mount table', async () => {
  const { socket } = await startHttpAgent();
  const devices = (count: number) =>
    Array.from({ length: count }, (_, index) => `/dev/sd${index}::/mnt/${index}`).join(',');
  const many = ['Libstorage-Localdevices', `vfs=${devices(40_000)}`];
  expect(many[1]!.length).toBeGreaterThan(0.9 * MiB);
  expect((await call(socket, { path: '/services', headers: many })).status).toBe(200);
  const request = `GET /services HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(MiB)}\r\n\r\n`;
  const { first, json } = parseRaw(await callRaw(socket, request));
  expect(first).toBe('HTTP/1.1 431 Request Header Fields Too Large');
  expect(json).toMatchObject({ code: 'TooLarge', message: expect.stringContaining('1 MiB') });
});

const NO_REQUESTS = [
  'garbage\r\n\r\n',
  'GET / HTTP/3.0\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nHo st: b\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'POST /volumes/local HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}',
  'POST /volumes/local HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
];

test('what is no HTTP request is answered with 400 in JSON', async () => {
  const { socket } = await startHttpAgent();
  for (const request of NO_REQUESTS) {
    const { first, headers, json } = parseRaw(await callRaw(socket, request));
    const label = JSON.stringify(request);
    expect(first, label).toBe('HTTP/1.1 400 Bad Request');
    expect(headers, label).toContain('Connection: close');
    expect(json, label).toMatchObject({ code: 'InvalidArgument', retry: 'never' });
  }
  expect((await call(socket, { path: '/healthz' })).status).toBe(200);
});

test('a path that no route can read is answered in the same shape', async () => {
  const { socket } = await startHttpAgent();
  for (const path of [
    '/volumes/%zz',
    '/agent/v1/volumes/%ff',
    `/agent/v1/volumes/${'x'.repeat(2000)}`,
  ]) {
    const { status, json } = await callJson<ErrorBody>(socket, { path });
    expect({ status, ...json }, path.slice(0, 40)).toMatchObject({
      status: 400,
      code: 'InvalidArgument',
      retry: 'never',
    });
    expect(json.message).not.toContain('xxx');
  }
});

test('a body over the limit is 413, said in advance or not, on every face', async () => {
  const { socket, engine } = await startHttpAgent();
  const before = engine.revision;
  const type = 'Content-Type: application/json\r\nConnection: close';
  // No more is sent than is read: a server may end a connection that still sends.
  const part = 2 * MiB + 1;
  for (const path of ['/volumes/local', '/agent/v1/volumes']) {
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\n${type}\r\n`;
    const announced = await callRaw(socket, `${head}Content-Length: ${part}\r\n\r\n`);
    const chunk = `${(3 * MiB).toString(16)}\r\n${'x'.repeat(part)}`;
    const found = await callRaw(socket, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`);
    for (const { first, json } of [announced, found].map(parseRaw)) {
      expect(first, path).toBe('HTTP/1.1 413 Payload Too Large');
      expect(json?.message, path).toContain('larger than');
    }
  }
  expect(engine.revision).toBe(before);
});

test('half a body does nothing', async () => {
  const { socket, engine } = await startHttpAgent();
  const before = engine.revision;
  const connection = await open(socket);
  connection.end(`${TEN_BYTES}12345`);
  await once(connection.resume(), 'close');
  expect((await call(socket, { path: '/healthz' })).status).toBe(200);
  expect(engine.revision).toBe(before);
});

test('who sends too slowly gets 408 and its end; the others are served meanwhile', async () => {
  const { socket, engine } = await startHttpAgent({ receiveDeadlineMs: 1_000 });
  const before = engine.revision;
  const slow = ['GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ', `${TEN_BYTES}12345`];
  const answers = slow.map(async (part) => parseRaw(await callRaw(socket, part)));
  expect((await call(socket, { path: '/healthz' })).status).toBe(200);
  for (const { first, json } of await Promise.all(answers)) {
    expect(first).toBe('HTTP/1.1 408 Request Timeout');
    expect(json).toMatchObject({
      code: 'DeadlineExceeded',
      message: expect.stringContaining('within 1 s'),
    });
  }
  expect(engine.revision).toBe(before);
});

test('garbage behind a request that is being answered ends the answer and is not written into it', async () => {
  const { socket } = await startHttpAgent();
  const request = 'GET /agent/v1/kv/watch HTTP/1.1\r\nHost: a\r\n\r\n';
  const connection = await open(socket);
  let seen = '';
  connection.on('data', (chunk) => (seen += String(chunk)));
  connection.on('error', () => undefined);
  connection.write(request);
  await vi.waitFor(() => expect(seen).toContain('"changes":[]'));
  connection.write('garbage\r\n\r\n');
  await once(connection, 'close');
  expect(seen.match(/HTTP\/1\.1/g)).toHaveLength(1);
});

test('closing lets a running request finish, and takes no new one', async () => {
  const { http, socket, engine } = await startHttpAgent();
  const idle = await open(socket);
  const busy = await open(socket);
  busy.write(`${TEN_BYTES}12345`);
  // Answered on another connection afterwards, so the first one's beginning has been read.
  await call(socket, { path: '/healthz' });
  const closed = http.close(10_000);
  await once(idle.resume(), 'close');
  await vi.waitFor(() => expect(existsSync(socket)).toBe(false));
  await expect(call(socket, { path: '/healthz' })).rejects.toThrow('ENOENT');
  busy.write('67890');
  let answer = '';
  busy.on('data', (chunk) => (answer += String(chunk)));
  await once(busy, 'close');
  const { first, headers, json } = parseRaw(answer);
  expect(first).toBe('HTTP/1.1 200 OK');
  expect(headers).toContain('connection: close');
  expect(json).toEqual({ revision: engine.revision });
  await closed;
  expect((await engine.get('kv/a'))?.value).toEqual(new Uint8Array(Buffer.from('1234567890')));
});

test('closing cuts what is not finished by the deadline', async () => {
  const { http, socket, engine } = await startHttpAgent();
  const before = engine.revision;
  const stuck = await open(socket);
  stuck.on('error', () => undefined);
  stuck.write(`${TEN_BYTES}12345`);
  await call(socket, { path: '/healthz' });
  const ended = once(stuck.resume(), 'close');
  await http.close(50);
  await ended;
  expect(engine.revision).toBe(before);
});
