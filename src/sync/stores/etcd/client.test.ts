/**
 * Goal: a client with several endpoints finds one that lives and stays with it; a write that may have
 * left is never sent a second time; calls end with the signal. Method: the real etcd, dead ports, and
 * a TCP relay that can be cut between request and answer.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer, connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serverMissing, startEtcd, type Etcd } from '../../../../test/servers/index.ts';
import { MiB } from '../../../base/bytes.ts';
import { EtcdClient } from './client.ts';
import { freeze } from '../../../../test/support/freeze.ts';

/** Nothing listens there. */
const DEAD = '127.0.0.1:9';
const key = Buffer.from('key');
const never = new AbortController().signal;
const missing = serverMissing('etcd');

describe('the configuration', () => {
  it.each([
    ['no endpoint', []],
    ['a path', ['http://one:2379/v3']],
    ['another scheme', ['unix:///run/etcd']],
    ['a user in the address', ['http://root:secret@one:2379']],
    ['nothing', ['']],
  ])('%s is refused', (_name, endpoints) => {
    expect(() => new EtcdClient({ endpoints })).toThrow(
      expect.objectContaining({ code: 'ConfigInvalid' }),
    );
  });

  it.each(['one', 'one:1', 'http://one', 'https://one:2379/', '[::1]:2379'])(
    '%s is fine',
    (one) => {
      const client = new EtcdClient({ endpoints: [one] });
      expect(client.endpoints).toEqual([one]);
      client.close();
    },
  );
});

describe.skipIf(missing !== undefined)(`calls ${missing ?? ''}`, () => {
  let etcd: Etcd;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd?.stop());

  it('goes on to the next endpoint when one is dead, for reads and for writes', async () => {
    const client = new EtcdClient({ endpoints: [DEAD, etcd.endpoint] });
    await client.put({ key, value: Buffer.from('1') }, never);
    const { kvs } = await client.range({ key }, never);
    expect(kvs[0]?.value.toString()).toBe('1');
    client.close();
  });

  it('names every endpoint when none answers', async () => {
    const client = new EtcdClient({ endpoints: [DEAD, 'localhost:9'] });
    await expect(client.range({ key }, never)).rejects.toMatchObject({
      code: 'NotReachable',
      message: expect.stringMatching(/none of 2 .*127\.0\.0\.1:9.*localhost:9/),
    });
    client.close();
  });

  it('works again after the server was away', async () => {
    const client = new EtcdClient({ endpoints: [etcd.endpoint] });
    await client.range({ key }, never);
    await etcd.kill();
    await expect(client.range({ key }, never)).rejects.toMatchObject({ code: 'NotReachable' });
    await etcd.restart();
    await client.range({ key }, never);
    client.close();
  });

  it('repeats a read whose answer was lost, never a write', async () => {
    await using relay = await startRelay(etcd.clientPort);
    const client = new EtcdClient({ endpoints: [relay.endpoint, etcd.endpoint] });
    await client.range({ key }, never);
    relay.loseAnswers();
    const before = await versionOf(etcd, 'lost');
    const put = { key: Buffer.from('lost'), value: Buffer.from('x') };
    await expect(client.put(put, never)).rejects.toMatchObject({ code: 'NotReachable' });
    // It was done, once: the second endpoint never saw it.
    expect(await versionOf(etcd, 'lost')).toBe(before + 1);
    client.close();

    relay.heal();
    const reader = new EtcdClient({ endpoints: [relay.endpoint, etcd.endpoint] });
    await reader.range({ key }, never);
    relay.loseAnswers();
    const { kvs } = await reader.range({ key: Buffer.from('lost') }, never);
    expect(kvs).toHaveLength(1);
    reader.close();
  });

  it('ends a call with its signal, before and while it runs', async () => {
    const client = new EtcdClient({ endpoints: [etcd.endpoint] });
    await expect(client.range({ key }, AbortSignal.abort())).rejects.toMatchObject({
      code: 'Cancelled',
    });
    await client.range({ key }, never);
    await freeze(etcd.pid);
    try {
      const stop = new AbortController();
      const call = client.range({ key }, stop.signal);
      stop.abort();
      await expect(call).rejects.toMatchObject({ code: 'Cancelled' });
    } finally {
      process.kill(etcd.pid, 'SIGCONT');
    }
    client.close();
  });

  it('closed, it leaves no socket, also one whose HTTP/2 never came up', async () => {
    const accepted: Socket[] = [];
    const silent = createServer((socket) => accepted.push(socket.resume()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const endpoint = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    for (let attempt = 1; attempt <= 3; attempt++) {
      const client = new EtcdClient({ endpoints: [endpoint] });
      const stop = new AbortController();
      const call = client.range({ key }, stop.signal);
      const socket = await new Promise<Socket>((resolve) => silent.once('connection', resolve));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      stop.abort();
      await expect(call).rejects.toMatchObject({ code: 'Cancelled' });
      client.close();
      await closed;
    }
    expect(accepted.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
    await new Promise((resolve) => silent.close(resolve));
  });

  it('closed, it leaves no socket to a server that hangs with a request half sent', async () => {
    const client = new EtcdClient({ endpoints: [etcd.endpoint] });
    await client.range({ key }, never);
    const before = await openSockets(etcd.clientPort);
    await freeze(etcd.pid);
    try {
      // Far more than the kernel buffers for a peer that does not read.
      const value = Buffer.alloc(32 * MiB);
      const stop = new AbortController();
      const put = client.put({ key, value }, stop.signal);
      setImmediate(() => stop.abort());
      await expect(put).rejects.toMatchObject({ code: 'Cancelled' });
      client.close();
      await expect.poll(() => openSockets(etcd.clientPort)).toBe(before - 1);
    } finally {
      process.kill(etcd.pid, 'SIGCONT');
    }
  });

  it('tells version and leader', async () => {
    const client = new EtcdClient({ endpoints: [etcd.endpoint] });
    const { version, leader } = await client.status(never);
    expect(version).toMatch(/^3\.\d+\.\d+/);
    expect(leader).not.toBe('0');
    client.close();
  });
});

/** Sockets of this process that are connected to a port, by its own file descriptors. */
async function openSockets(port: number): Promise<number> {
  const remote = port.toString(16).toUpperCase().padStart(4, '0');
  const table = await readFile('/proc/self/net/tcp', 'utf8');
  const inodes = table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[2]?.endsWith(`:${remote}`))
    .map((fields) => `socket:[${fields[9]}]`);
  let open = 0;
  for (const fd of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
    if (inodes.includes(target)) open += 1;
  }
  return open;
}

/** How often the key was put since it was created. */
async function versionOf(etcd: Etcd, name: string): Promise<number> {
  const { kvs = [] } = JSON.parse(await etcd.etcdctl(['get', name, '-w', 'json'])) as {
    kvs?: { version: number }[];
  };
  return kvs[0]?.version ?? 0;
}

/** Passes bytes on to a port of 127.0.0.1. `loseAnswers`: the next answer ends the connection instead. */
async function startRelay(port: number) {
  const sockets = new Set<Socket>();
  let losing = false;
  const server = createServer((near) => {
    const far = connectTcp(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.on('data', (bytes) => far.write(bytes)).on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    far.on('data', (bytes) => {
      if (losing && holdsHeaders(bytes)) near.destroy();
      else near.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    loseAnswers: () => {
      losing = true;
    },
    heal: () => {
      losing = false;
    },
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** An answer begins with a HEADERS frame, type 1; settings and pings come before (RFC 9113, 4.1 and 6.2). */
function holdsHeaders(bytes: Buffer): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === 1) return true;
  }
  return false;
}
