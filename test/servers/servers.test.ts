/*
 * Goal: what the other tests lean on holds: the servers are real and ready when `start…` resolves,
 * keep their port over a SIGKILL, refuse what they are told to refuse, leave nothing behind, and
 * never outlive the process that started them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { describe, expect, it } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { freePort, serverMissing, startEtcd, startMosquitto } from './index.ts';

const compiled = new URL('../../dist/test/servers/index.js', import.meta.url).href;

describe('etcd', () => {
  it('keeps its data and port over SIGKILL and leaves nothing when stopped', async (test) => {
    skipWithout('etcd', test);
    await using etcd = await startEtcd();
    await etcd.etcdctl(['put', '/holdfast/a', 'one']);
    const first = etcd.pid;
    await etcd.kill();
    expect(() => process.kill(first, 0)).toThrow('ESRCH');
    await expect(etcd.etcdctl(['get', '/holdfast/a', '--command-timeout=1s'])).rejects.toThrow(
      'Command failed',
    );

    await etcd.restart();
    expect(etcd.pid).not.toBe(first);
    expect(etcd.endpoint).toBe(`http://127.0.0.1:${etcd.clientPort}`);
    expect(await etcd.etcdctl(['get', '/holdfast/a', '--print-value-only'])).toBe('one\n');

    await etcd.stop();
    await etcd.stop();
    expect(existsSync(etcd.dataDir)).toBe(false);
    expect(() => process.kill(etcd.pid, 0)).toThrow('ESRCH');
  });

  it('runs side by side with another', async (test) => {
    skipWithout('etcd', test);
    await using one = await startEtcd();
    await using two = await startEtcd();
    await one.etcdctl(['put', 'k', '1']);
    expect(await two.etcdctl(['get', 'k'])).toBe('');
  });

  it('says what went wrong when it can not start', async (test) => {
    skipWithout('etcd', test);
    await expect(startEtcd({ args: ['--no-such-flag'] })).rejects.toThrow('no-such-flag');
  });

  it('dies with a parent that is SIGKILLed', async (test) => {
    skipWithout('etcd', test);
    const script = `
      const { startEtcd } = await import(${JSON.stringify(compiled)});
      console.log((await startEtcd()).pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      // Nobody is left to remove its folder: it lies in one that this test removes.
      env: { ...process.env, TMPDIR: tempDir('orphan') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    process.kill(pid, 0);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    for (let waited = 0; isAlive(pid) && waited < 5000; waited += 20) await sleep(20);
    expect(isAlive(pid)).toBe(false);
  });
});

describe('mosquitto', () => {
  it('hands retained messages to a subscriber, byte for byte', async (test) => {
    skipWithout('mosquitto', test);
    await using broker = await startMosquitto();
    const client = await connectAsync(broker.url, { protocolVersion: 5 });
    const payload = Buffer.from([0, 10, 32, 255]);
    await client.publishAsync('holdfast/a topic', payload, { retain: true, qos: 1 });
    await client.publishAsync('holdfast/live', 'not retained', { qos: 1 });
    await client.endAsync();
    expect(await broker.sub('holdfast/#', { seconds: 1 })).toEqual([
      { topic: 'holdfast/a topic', payload, retained: true, qos: 1 },
    ]);
  });

  it('comes back on its port after SIGKILL, and forgot everything', async (test) => {
    skipWithout('mosquitto', test);
    await using broker = await startMosquitto();
    const client = await connectAsync(broker.url, { reconnectPeriod: 0 });
    await client.publishAsync('a', 'b', { retain: true, qos: 1 });
    const closed = new Promise<void>((resolve) => client.once('close', resolve));
    await broker.kill();
    await closed;
    await client.endAsync(true);
    await broker.restart();
    expect(await broker.sub('#', { seconds: 1 })).toEqual([]);
  });

  it('refuses who has no password, and everybody when told so', async (test) => {
    skipWithout('mosquitto', test);
    await using locked = await startMosquitto({ password: 's3cret' });
    await expect(connect(locked.url)).rejects.toThrow(/not authori[sz]ed/i);
    const client = await connect(locked.url, { username: locked.username, password: 's3cret' });
    await client.endAsync();
    expect(await locked.sub('#', { seconds: 1 })).toEqual([]);

    await using refusing = await startMosquitto({ refuse: true, password: 's3cret' });
    const login = { username: refusing.username, password: 's3cret' };
    await expect(connect(refusing.url, login)).rejects.toThrow(/not authori[sz]ed/i);
  });

  it('says so when the port asked for is taken', async (test) => {
    skipWithout('mosquitto', test);
    const port = await freePort();
    const holder = createServer().listen(port, '127.0.0.1');
    await once(holder, 'listening');
    await expect(startMosquitto({ port })).rejects.toThrow('Address already in use');
    holder.close();
  });
});

describe('freePort', () => {
  it('stays clear of the ports that outgoing connections take', async () => {
    for (let n = 0; n < 20; n++) expect(await freePort()).toBeLessThan(32_768);
  });
});

function connect(url: string, login: { username?: string; password?: string } = {}) {
  return connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0, ...login }, false);
}

function skipWithout(server: 'etcd' | 'mosquitto', test: { skip(reason?: string): void }): void {
  const missing = serverMissing(server);
  if (missing !== undefined) test.skip(missing);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
