/**
 * Goal: whatever a broker does (refuse, say nothing, hang, answer nonsense, die in the middle), the feed says
 * it once and in words that help, costs no memory, holds nobody up, stops in time and comes back by itself.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { AgentEvent } from '../../src/agent/agent.ts';
import type { AgentCore } from '../../src/agent/core.ts';
import { openLink } from '../../src/agent/faces/mqtt/link.ts';
import { KiB, MiB } from '../../src/base/bytes.ts';
import { HoldfastError } from '../../src/base/errors.ts';
import { findCommand, freePort, serverMissing, startMosquitto } from '../servers/index.ts';
import { tempDir } from '../support/temp-dir.ts';
import {
  FeedRun,
  Listener,
  makeHost,
  retained,
  startCore,
  startTcp,
  until,
  Wire,
} from './mqtt-rig.ts';
import { freeze } from '../support/freeze.ts';

const missing = serverMissing('mosquitto');
const noOpenssl = findCommand('openssl') === undefined ? 'openssl not installed' : undefined;

/** mosquitto.conf lines for these access rules. */
function acl(rules: string): string[] {
  const file = path.join(tempDir('acl'), 'acl');
  writeFileSync(file, rules);
  return [`acl_file ${file}`];
}

function tell(agent: AgentCore): Promise<unknown> {
  return agent.events.append({ type: 'test.happened', subject: 'x', message: 'x' });
}

/** CONNACK (MQTT 5, 3.2) with this reason code, no properties. */
const connack = (reason: number) => Buffer.from([0x20, 3, 0, reason, 0]);

describe('a server that is no broker, or not for us', () => {
  it.each([
    ['garbage', (socket: Socket) => socket.write('220 mail.example ESMTP\r\n'.repeat(10))],
    ['HTTP/1.1', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a closed connection', (socket: Socket) => socket.end()],
    ['silence', () => undefined],
    ['a busy broker', (socket: Socket) => socket.write(connack(137))],
    ['a broker that is moved at once', (socket: Socket) => socket.write(connack(156))],
  ])('%s: offline, told once', async (_name, onSocket) => {
    let connections = 0;
    await using server = await startTcp((socket) => {
      connections += 1;
      onSocket(socket);
    });
    const agent = await startCore(await makeHost());
    await using feed = new FeedRun(agent, server.url, { times: { connectTimeoutMs: 200 } });
    await until('it tried again', () => connections >= 3);
    await feed.stop();
    expect(feed.changes.map(({ to }) => to)).toEqual(['connecting', 'offline', 'stopped']);
    const { error } = feed.changes[1]!;
    expect(error?.message).toContain(`${server.url}: `);
    expect(error?.message.length).toBeGreaterThan(`${server.url}: `.length + 10);
  });

  it.each([
    ['an MQTT 3.1.1 broker', Buffer.from([0x20, 2, 0, 1]), 'NotSupported', 'MQTT 5'],
    ['no retained messages', connack(154), 'NotSupported', 'docs/mqtt.md'],
    ['a ban', connack(138), 'PermissionDenied', 'mqtt.username'],
    // DISCONNECT (MQTT 5, 3.14) in one segment with the CONNACK.
    [
      'a farewell',
      Buffer.from([...connack(0), 0xe0, 2, 135, 0]),
      'PermissionDenied',
      'mqtt.username',
    ],
    ['a takeover', Buffer.from([...connack(0), 0xe0, 2, 142, 0]), 'Conflict', 'one replica id'],
  ])('%s: refused, with the next step', async (_name, answer, code, hint) => {
    await using server = await startTcp((socket) => socket.write(answer));
    await using feed = new FeedRun(await startCore(await makeHost()), server.url);
    const { error } = await feed.reached('refused');
    expect(error).toMatchObject({ code });
    expect(error?.hint).toContain(hint);
  });

  it('nobody listening: offline, and connected once somebody does', async (test) => {
    if (missing !== undefined) test.skip(missing);
    const port = await freePort();
    await using feed = new FeedRun(await startCore(await makeHost()), `mqtt://127.0.0.1:${port}`);
    const { error } = await feed.reached('offline');
    expect(error?.message).toContain('ECONNREFUSED');
    await using broker = await startMosquitto({ port });
    await feed.reached('connected');
    expect(broker.output).toContain('as holdfast-');
  });

  it('a packet without an end is cut off, not collected', async () => {
    const counts: number[] = [];
    await using server = await startTcp((socket) => {
      const index = counts.push(0) - 1;
      // CONNACK of 256 MiB, then zeros for as long as they are taken.
      socket.write(Buffer.from([0x20, 0xff, 0xff, 0xff, 0x7f]));
      const more = (): void => {
        let room = true;
        while (room && !socket.destroyed) {
          room = socket.write(Buffer.alloc(64 * KiB));
          counts[index] = socket.bytesWritten;
        }
      };
      socket.on('drain', more);
      more();
    });
    await using feed = new FeedRun(await startCore(await makeHost()), server.url);
    const { error } = await feed.reached('offline');
    expect(error).toMatchObject({ code: 'NotReachable' });
    expect(error?.message).toContain('no MQTT packet');
    await feed.stop();
    // What we took and what the kernel's buffers hold; far from the 256 MiB.
    expect(Math.max(...counts)).toBeLessThan(16 * MiB);
  });
});

describe.skipIf(missing !== undefined)(`a broker that refuses ${missing ?? ''}`, () => {
  it('a wrong password: refused with a hint, once; and connected when it was put right', async () => {
    await using broker = await startMosquitto({ password: 's3cret' });
    let tries = 0;
    let password = 'wrong';
    const agent = await startCore(await makeHost());
    await using feed = new FeedRun(agent, broker.url, {
      username: broker.username,
      readPassword: async () => {
        tries += 1;
        return password;
      },
    });
    const { error } = await feed.reached('refused');
    expect(error).toMatchObject({ code: 'PermissionDenied', retry: 'later' });
    expect(error?.hint).toContain('mqtt.passwordFile');
    expect(JSON.stringify(error)).not.toContain('wrong');
    await until('it asked again', () => tries >= 3);
    password = 's3cret';
    await feed.reached('connected');
    expect(feed.changes.map(({ to }) => to)).toEqual(['connecting', 'refused', 'connected']);
  });

  it.each([
    ['a document', 'topic read #\ntopic write holdfast/+/state\n', 'write', 'info'],
    [
      'the events',
      'topic read #\ntopic deny holdfast/+/events\ntopic write #\n',
      'write',
      'events',
    ],
    ['the will', 'topic read #\n', 'write', 'state'],
  ])('%s: refused, never connected, with what to allow', async (_name, rules, verb, topic) => {
    await using broker = await startMosquitto({ config: acl(rules) });
    const host = await makeHost();
    const agent = await startCore(host);
    // Not the first start: there is an event to be told.
    await host.engine.put('mqtt/ack', Buffer.from('0'));
    await tell(agent);
    await using feed = new FeedRun(agent, broker.url);
    const { error } = await feed.reached('refused');
    expect(error).toMatchObject({ code: 'PermissionDenied' });
    expect(error?.hint).toContain(verb);
    if (topic !== 'state') expect(error?.message).toContain(`/${topic}`);
    expect(feed.changes.map(({ to }) => to)).toEqual(['connecting', 'refused']);
  });

  it('works with the access rules that docs/mqtt.md shows', async () => {
    const docs = readFileSync(new URL('../../docs/mqtt.md', import.meta.url), 'utf8');
    const [, rules] = /```acl\n([^`]*)```/.exec(docs)!;
    const host = await makeHost();
    const mine = rules!.replaceAll('<replica id>', host.replicaId);
    expect(mine).toContain(host.replicaId);
    await using broker = await startMosquitto({ password: 's3cret', config: acl(mine) });
    const agent = await startCore(host);
    await host.engine.put('mqtt/ack', Buffer.from('0'));
    await tell(agent);
    await using feed = new FeedRun(agent, broker.url, {
      username: broker.username,
      readPassword: async () => 's3cret',
    });
    await feed.reached('connected');
    // Another host's subtree is not ours to write.
    const stranger = await startCore(await makeHost());
    await using other = new FeedRun(stranger, broker.url, {
      username: broker.username,
      readPassword: async () => 's3cret',
    });
    await other.reached('refused');
  });

  it('packets too small for a document: refused, not half told', async () => {
    await using broker = await startMosquitto({ config: ['max_packet_size 600'] });
    await using feed = new FeedRun(await startCore(await makeHost()), broker.url);
    const { error } = await feed.reached('refused');
    expect(error).toMatchObject({ code: 'TooLarge' });
    expect(error?.message).toMatch(/\/info: \d+ bytes, the broker takes packets of 600/);
  });

  it('packets too small for an event: a jump in the numbers, and the others go on', async () => {
    await using broker = await startMosquitto({ config: ['max_packet_size 2000'] });
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const agent = await startCore(host);
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    await tell(agent);
    await agent.events.append({ type: 'test.large', subject: 'x', message: 'x'.repeat(4 * KiB) });
    await tell(agent);
    const seqs = () =>
      listener.json<AgentEvent>(`holdfast/${host.replicaId}/events`).map(({ seq }) => seq);
    await until('the last came', () => seqs().includes(3));
    expect(seqs()).toEqual([1, 3]);
    expect(feed.state).toBe('connected');
  });

  it('a password file that cannot be read: refused, and nobody is asked without it', async () => {
    await using broker = await startMosquitto();
    await using feed = new FeedRun(await startCore(await makeHost()), broker.url, {
      username: 'x',
      readPassword: () => Promise.reject(new HoldfastError('ConfigInvalid', '/x: cannot be read')),
    });
    expect((await feed.reached('refused')).error?.message).toBe('/x: cannot be read');
    expect(broker.output).not.toContain('New client connected');
  });
});

describe.skipIf((missing ?? noOpenssl) !== undefined)(`TLS ${missing ?? noOpenssl ?? ''}`, () => {
  it('trusts the given authority and nobody else', async () => {
    const folder = tempDir('tls');
    const key = path.join(folder, 'key.pem');
    const cert = path.join(folder, 'cert.pem');
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...made, '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    });
    await using broker = await startMosquitto({ config: [`certfile ${cert}`, `keyfile ${key}`] });
    const url = `mqtts://localhost:${broker.port}`;
    const agent = await startCore(await makeHost());
    await using doubtful = new FeedRun(agent, url);
    const { error } = await doubtful.reached('offline');
    expect(error?.hint).toContain('mqtt.caFile');
    await doubtful.stop();
    await using feed = new FeedRun(agent, url, { ca: readFileSync(cert, 'utf8') });
    await feed.reached('connected');
  });
});

describe.skipIf(missing !== undefined)(`a broker that hangs or dies ${missing ?? ''}`, () => {
  it('hangs: offline after one deadline, costs no memory, and is told everything once it goes on', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    const agent = await startCore(host);
    const { spec } = await agent.volumes.create({ name: 'a' });
    await using feed = new FeedRun(agent, broker.url, { times: { ackTimeoutMs: 300 } });
    await feed.reached('connected');
    await freeze(broker.pid);
    try {
      const before = liveBytes();
      for (let n = 0; n < 2_000; n += 1) {
        agent.setReason('disk', `sda is ill ${n} ${'x'.repeat(16 * KiB)}`);
        if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect((await feed.reached('offline')).error).toMatchObject({ code: 'DeadlineExceeded' });
      expect(liveBytes() - before).toBeLessThan(8 * MiB);
      agent.setReason('disk', undefined);
      await agent.volumes.remove(spec.id);
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
    await feed.reached('connected');
    const documents = await retained(broker.url, host.replicaId);
    expect(JSON.parse(documents['state']!)).toMatchObject({ state: 'ready', epoch: agent.epoch });
    expect(Object.keys(documents)).not.toContain(`volumes/${spec.id}`);
  });

  it('hangs: the feed stops within its deadline all the same', async () => {
    await using broker = await startMosquitto();
    const agent = await startCore(await makeHost());
    const feed = new FeedRun(agent, broker.url, { times: { stopDeadlineMs: 400 } });
    await feed.reached('connected');
    await freeze(broker.pid);
    try {
      await tell(agent);
      agent.setReason('disk', 'sda is ill');
      const stopped = feed.stop().then(() => 'stopped');
      // Ten times the deadline, and below every other time of the feed.
      const late = new Promise((resolve) => setTimeout(resolve, 4_000, 'late').unref());
      expect(await Promise.race([stopped, late])).toBe('stopped');
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
  });

  it.each(['connecting', 'offline'] as const)('stops at once while %s', async (state) => {
    await using silent = await startTcp(() => undefined);
    const url = state === 'connecting' ? silent.url : `mqtt://127.0.0.1:${await freePort()}`;
    const times = { backoffFirstMs: 60_000, backoffMaxMs: 60_000, connectTimeoutMs: 60_000 };
    const feed = new FeedRun(await startCore(await makeHost()), url, { times });
    await feed.reached(state);
    const late = new Promise((resolve) => setTimeout(resolve, 5_000, 'late').unref());
    expect(await Promise.race([feed.stop(), late])).toBeUndefined();
  });

  it('dies anywhere in the first exchange: whole once it stays', async () => {
    await using broker = await startMosquitto();
    await using wire = await Wire.to(broker.port);
    const host = await makeHost();
    const agent = await startCore(host);
    await tell(agent);
    wire.clientBytesMax = 10;
    await using feed = new FeedRun(agent, wire.url);
    await feed.reached('offline');
    for (const bytes of [200, 400, 600, 1_000, 2_000, 3_000]) {
      wire.clientBytesMax = bytes;
      const before = wire.connections;
      await until('another try', () => wire.connections > before + 1);
      expect(feed.state).toBe('offline');
    }
    wire.clientBytesMax = Number.POSITIVE_INFINITY;
    await feed.reached('connected');
    expect(feed.changes.map(({ to }) => to)).toEqual(['connecting', 'offline', 'connected']);
    const documents = await retained(broker.url, host.replicaId);
    expect(Object.keys(documents)).toHaveLength(3 + agent.devices.list().length);
  });

  it('ends under a publish: that is no refusal', async () => {
    await using broker = await startMosquitto();
    const link = await openLink(
      {
        url: broker.url,
        clientId: 'holdfast-test',
        keepaliveSeconds: 5,
        will: { topic: 'holdfast/x/state', payload: '{}' },
        willDelaySeconds: 1,
        sessionExpirySeconds: 1,
        connectTimeoutMs: 5_000,
        ackTimeoutMs: 5_000,
      },
      new AbortController().signal,
    );
    link.destroy();
    const lost = { code: 'NotReachable' };
    await expect(link.publish('holdfast/x/info', '{}', { retain: true })).rejects.toMatchObject(
      lost,
    );
    await expect(link.subscribe('holdfast/x/+', true)).rejects.toMatchObject(lost);
    expect(await link.closed).toMatchObject(lost);
  });

  it('is not to blame for a damaged record: then the run rejects', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    await using feed = new FeedRun(await startCore(host), broker.url);
    await feed.reached('connected');
    await host.engine.put('volumes/x', Buffer.from('{'));
    await expect(feed.reached('refused')).rejects.toMatchObject({ code: 'Corrupt' });
    expect(feed.changes.map(({ to }) => to)).toEqual(['connecting', 'connected', 'stopped']);
  });

  it('is not to blame for an engine that fails: then the run rejects', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    await using feed = new FeedRun(await startCore(host), broker.url);
    await feed.reached('connected');
    await host.engine.close();
    await expect(feed.reached('refused')).rejects.toMatchObject({ code: 'Unavailable' });
    expect(feed.state).toBe('stopped');
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
