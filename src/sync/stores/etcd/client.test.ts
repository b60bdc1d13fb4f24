/**
 * Goal: a client with several endpoints finds one that lives and stays with it; a write that may have
 * left is never sent a second time; calls end with the signal. Method: the real etcd, dead ports, and
 * a TCP relay that can be cut between request and answer.
 */
import { createServer, connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serverMissing, startEtcd, type Etcd } from '../../../../test/servers/index.ts';
import { EtcdClient } from './client.ts';

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
      new EtcdClient({ endpoints: [one] }).close();
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
    process.kill(etcd.pid, 'SIGSTOP');
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

  it('tells version and leader', async () => {
    const client = new EtcdClient({ endpoints: [etcd.endpoint] });
    const { version, leader } = await client.status(never);
    expect(version).toMatch(/^3\.\d+\.\d+/);
    expect(leader).not.toBe('0');
    client.close();
  });
});

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
