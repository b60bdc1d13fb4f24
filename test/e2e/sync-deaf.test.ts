/**
 * Goal: a target that hangs, says nothing or answers nonsense is offline within its deadline, in words
 * that help; meanwhile local writes go on, memory stays bounded and stopping is immediate.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { KiB, MiB } from '../../src/base/bytes.ts';
import { EtcdClient, EtcdTarget } from '../../src/sync/stores/etcd/index.ts';
import { serverMissing, startEtcd } from '../servers/index.ts';
import {
  Follower,
  localTree,
  openTempEngine,
  placeOf,
  remoteTree,
  text,
  until,
} from './sync-rig.ts';
import { freeze } from '../support/freeze.ts';

const missing = serverMissing('etcd');
/** Instead of 10 s: a test waits for several of them. */
const CALL_TIMEOUT_MS = 300;

/** A server on loopback that treats each connection so. */
async function startTcp(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe('a server that is no etcd', () => {
  it.each([
    ['garbage', (socket: Socket) => socket.write('220 mail.example ESMTP\r\n'.repeat(10))],
    ['HTTP/1.1', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a closed connection', (socket: Socket) => socket.end()],
    ['silence', () => undefined],
  ])('%s: offline, with the endpoint named', async (_name, onSocket) => {
    await using server = await startTcp(onSocket);
    await using engine = await openTempEngine();
    await using follower = new Follower(engine, server.endpoint);
    await engine.put('kv/a', text('1'));
    await follower.reached('offline');
    const { error } = follower.changes.find(({ to }) => to === 'offline')!;
    expect(error?.code).toBe('NotReachable');
    expect(error?.message).toContain(`etcd at ${server.endpoint}: `);
    expect(error?.message.length).toBeGreaterThan(`etcd at ${server.endpoint}: `.length + 10);
    await engine.put('kv/b', text('2'));
    await follower.stop();
  });
});

/** Of 512 KiB each: 150 MiB, far more than a batch, a page of the log and a watcher's buffer together. */
const WRITES = 300;
/** Two pages of the log (CHANGES_BYTES_MAX): one being read, one not yet collected. */
const LIVE_BYTES_MAX = 32 * MiB;

describe.skipIf(missing !== undefined)(`an etcd that hangs ${missing ?? ''}`, () => {
  it('is offline after one deadline, costs no memory, and is caught up once it goes on', async () => {
    await using etcd = await startEtcd();
    await using engine = await openTempEngine();
    const place = placeOf();
    const open = async (): Promise<EtcdTarget> => {
      const options = { endpoints: [etcd.endpoint], callTimeoutMs: CALL_TIMEOUT_MS };
      return new EtcdTarget('etcd', new EtcdClient(options), place);
    };
    await using follower = new Follower(engine, etcd.endpoint, { place, open });
    await engine.put('kv/a', text('1'));
    await follower.converged();

    await freeze(etcd.pid);
    try {
      const before = liveBytes();
      for (let n = 0; n < WRITES; n++)
        await engine.put(`kv/${n % 60}`, new Uint8Array(512 * KiB).fill(n));
      await follower.reached('offline');
      expect(follower.replicator.status()).toMatchObject({ lastError: { code: 'NotReachable' } });
      await until('lag is known', () => follower.replicator.status().lagRevisions >= WRITES);
      expect(liveBytes() - before).toBeLessThan(LIVE_BYTES_MAX);
    } finally {
      process.kill(etcd.pid, 'SIGCONT');
    }
    await follower.converged();
    expect(await remoteTree(etcd, place)).toEqual(await localTree(engine));
  });

  it('does not keep the replicator from stopping, whatever it was asked', async () => {
    await using etcd = await startEtcd();
    await using engine = await openTempEngine();
    const follower = new Follower(engine, etcd.endpoint);
    await follower.converged();
    await freeze(etcd.pid);
    try {
      await engine.put('kv/a', text('1'));
      await until('a batch is on its way', () => follower.replicator.status().lagRevisions === 1);
      const stopped = follower.stop();
      // Far below the ten seconds of the call's own deadline.
      const late = new Promise((resolve) => setTimeout(resolve, 2000, 'late').unref());
      expect(await Promise.race([stopped, late])).toBeUndefined();
    } finally {
      process.kill(etcd.pid, 'SIGCONT');
    }
  });
});

/** Heap and buffers that something still holds. */
function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
