/** Goal: the TCP listener is for programs on this host: not for other hosts, not for web pages. */
import { createServer } from 'node:net';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { startHttpAgent } from '../../test/support/http-agent.ts';
import { call } from '../../test/support/http-call.ts';
import { parseListen } from './tcp-door.ts';
import { listenOn } from './unix-socket.ts';

test.for([
  ['127.0.0.1:7979', { host: '127.0.0.1', port: 7979 }],
  ['127.8.9.10:1', { host: '127.8.9.10', port: 1 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  // Not looked up: /etc/hosts or a resolver could say something else.
  ['LocalHost:65535', { host: '127.0.0.1', port: 65_535 }],
] as const)('%s is loopback', ([listen, address]) => {
  expect(parseListen(listen)).toEqual(address);
});

test.for([
  '0.0.0.0:7979',
  ':7979',
  '[::]:7979',
  '10.0.0.1:7979',
  '[::ffff:10.0.0.1]:7979',
  '127.0.0.1.example.com:7979',
  'example.com:7979',
  '127.1:7979',
])('%s is not', (listen) => {
  expect(() => parseListen(listen)).toThrow(
    expect.objectContaining({
      code: 'ConfigInvalid',
      message: expect.stringContaining('loopback'),
    }),
  );
});

test.for([
  '7979',
  '127.0.0.1',
  '127.0.0.1:',
  '127.0.0.1:65536',
  '127.0.0.1:-1',
  '::1:7979',
  '',
  'tcp://127.0.0.1:1',
])('"%s" is no address', (listen) => {
  expect(() => parseListen(listen)).toThrow(
    expect.objectContaining({
      code: 'ConfigInvalid',
      message: expect.stringContaining("isn't host:port"),
    }),
  );
});

test('both doors lead to the same agent', async () => {
  const { listening, socket, core } = await startHttpAgent({ listen: '127.0.0.1:0' });
  expect(listening.tcp?.port).toBeGreaterThan(0);
  for (const where of [socket, listening.tcp!.port]) {
    const { status, text } = await call(where, { path: '/agent/v1/host' });
    expect(status).toBe(200);
    expect(text).toContain(core.identity.replicaId);
  }
});

test('without http.listen there is no TCP listener', async () => {
  expect((await startHttpAgent()).listening).not.toHaveProperty('tcp');
});

test('a web page can do nothing: neither its origin nor a name that it made up is taken', async () => {
  const { listening, socket, core } = await startHttpAgent({ listen: '127.0.0.1:0' });
  const { port } = listening.tcp!;
  const create = (where: string | number, headers: string[]) =>
    call(where, { method: 'POST', path: '/volumes/local', headers, body: '{"name":"evil"}' });
  const browsers = [
    ['Origin', 'http://example.com'],
    ['Origin', 'null'],
    ['Origin', `http://127.0.0.1:${port}`],
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-Fetch-Site', 'same-site'],
    ['Host', `rebound.example.com:${port}`],
    ['Host', 'localhost.example.com'],
    ['Host', '127.0.0.1.example.com'],
    ['Host', ''],
  ];
  for (const headers of browsers) {
    const { status, text } = await create(port, headers);
    expect(status, headers.join(': ')).toBe(403);
    expect(JSON.parse(text)).toMatchObject({ code: 'PermissionDenied', hint: expect.any(String) });
  }
  expect(await core.volumes.list()).toEqual([]);
  const programs = [
    ['Host', 'LOCALHOST'],
    ['Host', `127.0.0.1:${port}`],
    ['Host', `[::1]:${port}`],
    ['Sec-Fetch-Site', 'none'],
    ['Sec-Fetch-Site', 'same-origin'],
  ];
  for (const headers of programs) {
    expect((await call(port, { path: '/services', headers })).status, headers.join(': ')).toBe(200);
  }
  // No web page reaches a unix socket; Go's client calls it by a name of its own.
  expect((await create(socket, ['Host', 'libstorage-server'])).status).toBe(201);
});

test('a wrong address or a port in use: an error with a hint, and no socket is left', async () => {
  const taken = createServer();
  await listenOn(taken, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  const socketPath = path.join(tempDir('tcp'), 's');
  for (const listen of ['0.0.0.0:0', `127.0.0.1:${port}`]) {
    await expect(startHttpAgent({ listen, socketPath })).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringMatching(/^http\.listen: /),
      hint: expect.any(String),
    });
    expect(existsSync(socketPath), listen).toBe(false);
  }
});
