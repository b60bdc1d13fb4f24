/**
 * Goal: each configured target runs as a service of its own and shows in state, events and log: refused
 * degrades the agent and says why, offline does not; a changed configuration is followed at once.
 * Method: the real engine, event ring and runner, a real etcd, and a server that never answers.
 */
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { serverMissing, startEtcd, type Etcd } from '../../test/servers/index.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { HoldfastError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import type { HostIdentity } from '../devices/index.ts';
import type { SyncStatus } from '../sync/index.ts';
import type { EventRing } from './agent.ts';
import type { SyncTargetConfig } from './config/index.ts';
import { EngineEventRing } from './event-ring.ts';
import { ServiceRunner } from './service.ts';
import { Targets, type TargetsCore } from './targets.ts';

const missing = serverMissing('etcd');
const replicaId = newId();

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly target?: string;
}

let engine: Engine;
let events: EventRing;
let runner: ServiceRunner;
let targets: Targets;
let log: LogLine[];
let reasons: Map<string, string>;
let shown: Map<string, () => SyncStatus>;
let changes: number;

beforeEach(async () => {
  engine = await openEngine({ backend: 'memory', path: '' });
  events = new EngineEventRing({ engine, epoch: 'boot.1' });
  log = [];
  reasons = new Map();
  shown = new Map();
  changes = 0;
  const logger = pino(
    { level: 'debug' },
    { write: (line) => log.push(JSON.parse(line) as LogLine) },
  );
  runner = new ServiceRunner(logger);
  const core: TargetsCore = {
    engine,
    identity: { replicaId } as HostIdentity,
    get events() {
      return events as EngineEventRing;
    },
    changed: () => (changes += 1),
    setReason: (subject, reason) => {
      if (reason === undefined) reasons.delete(subject);
      else reasons.set(subject, reason);
    },
    setTarget: (id, status) => {
      if (status) shown.set(id, status);
      else shown.delete(id);
    },
  };
  targets = new Targets(core, runner, logger, 'holdfast');
});
afterEach(async () => {
  await runner.stopAll();
  await engine.close();
});

const config = (endpoint: string, more: Partial<SyncTargetConfig> = {}): SyncTargetConfig => ({
  id: 'etcd',
  type: 'etcd',
  endpoints: [endpoint],
  ...more,
});
const reached = (state: SyncStatus['state'], id = 'etcd'): Promise<void> =>
  vi.waitFor(() => expect(shown.get(id)?.().state).toBe(state), 20_000);
const eventTypes = async (): Promise<string[]> =>
  (await events.after(0, 100)).map(({ type, subject }) => `${type} ${subject}`);

/** Nothing listens there. */
const NOWHERE = '127.0.0.1:9';

describe.skipIf(missing !== undefined)(`with etcd ${missing ?? ''}`, () => {
  let etcd: Etcd;
  beforeEach(async () => {
    etcd = await startEtcd();
  });
  afterEach(() => etcd?.stop());

  it('replicates, and tells of each change once, in the log and as an event', async () => {
    await targets.apply([config(etcd.endpoint)]);
    await engine.put('kv/a', Buffer.from('1'));
    await reached('current');
    const tree = await etcd.etcdctl(['get', '--prefix', '/holdfast/hosts/', '--keys-only']);
    expect(tree).toContain(`/holdfast/hosts/${replicaId}/kv/a`);
    await vi.waitFor(async () => {
      expect(await eventTypes()).toEqual(['sync.comparing etcd', 'sync.current etcd']);
    });
    const [comparing] = await events.after(0, 1);
    expect(comparing).toMatchObject({ data: { reason: 'first contact' } });
    expect(log.map(({ msg }) => msg)).toEqual([
      'sync target etcd is connecting',
      'sync target etcd is comparing: first contact',
      'sync target etcd is current',
    ]);
    expect(changes).toBe(log.length);
    expect([...reasons.keys()]).toEqual([]);
    expect(runner.health().map(({ id }) => id)).toEqual(['sync.etcd']);

    await etcd.kill();
    await engine.put('kv/a', Buffer.from('2'));
    await reached('offline');
    expect([...reasons.keys()]).toEqual([]);
    expect(log.at(-1)).toMatchObject({ level: 40, target: 'etcd', code: 'NotReachable' });
  });

  it('a wrong password degrades the agent; one from a systemd credential works', async () => {
    for (const args of [
      ['user', 'add', 'root:right'],
      ['user', 'grant-role', 'root', 'root'],
      ['auth', 'enable'],
    ]) {
      await etcd.etcdctl(args);
    }
    const folder = tempDir('targets');
    const passwordFile = path.join(folder, 'wrong');
    writeFileSync(passwordFile, 'wrong\n');
    await targets.apply([config(etcd.endpoint, { username: 'root', passwordFile })]);
    await reached('refused');
    expect(reasons.get('sync.etcd')).toMatch(/is refused: .*authentication failed.*passwordFile/);
    expect(log.at(-1)).toMatchObject({ level: 50, code: 'PermissionDenied' });
    expect(JSON.stringify([log, [...reasons]])).not.toContain('wrong\\n');

    writeFileSync(path.join(folder, 'etcd-password'), 'right\n');
    vi.stubEnv('CREDENTIALS_DIRECTORY', folder);
    const credential = { username: 'root', passwordFile: '%d/etcd-password' };
    await targets.apply([config(etcd.endpoint, credential)]);
    expect([...reasons.keys()]).toEqual([]);
    await reached('current');
    vi.unstubAllEnvs();
  });

  it('tells which key a target will not take, once', async () => {
    await using strict = await startEtcd({ args: ['--max-request-bytes=65536'] });
    await engine.put('kv/large', new Uint8Array(100_000));
    await targets.apply([config(strict.endpoint)]);
    await reached('current');
    await targets.apply([]);
    await engine.compact(engine.revision);
    await strict.etcdctl(['del', '--prefix', '/holdfast/']);
    await targets.apply([config(strict.endpoint)]);
    await reached('current');
    const parked = (await events.after(0, 100)).filter(({ type }) => type === 'sync.parked');
    expect(parked).toMatchObject([
      { subject: 'etcd', data: { key: 'kv/large', error: { code: 'TooLarge' } } },
    ]);
    expect(parked[0]?.message).toMatch(/etcd will not take kv\/large: .*too large/);
    expect(shown.get('etcd')?.().parked).toBe(1);
  });

  it('runs several targets side by side and follows the configuration', async () => {
    const [one, two] = [config(etcd.endpoint, { id: 'one' }), config(NOWHERE, { id: 'two' })];
    await targets.apply([one, two]);
    await reached('current', 'one');
    await reached('offline', 'two');
    const connections = log.filter(({ msg }) => msg.includes('one is connecting')).length;

    await targets.apply([one, config(etcd.endpoint, { id: 'two' })]);
    await reached('current', 'two');
    expect(log.filter(({ msg }) => msg.includes('one is connecting'))).toHaveLength(connections);

    const holders = async () => (await engine.stats()).holds.map(({ name }) => name);
    expect((await holders()).toSorted()).toEqual(['sync target one', 'sync target two']);
    await targets.apply([one]);
    // Taken out of the configuration, it holds the log no more.
    expect(await holders()).toEqual(['sync target one']);
    expect([...shown.keys()]).toEqual(['one']);
    expect(runner.health().map(({ id }) => id)).toEqual(['sync.one']);
    await targets.apply([]);
    expect(runner.health()).toEqual([]);
  });
});

describe('what cannot work', () => {
  it.each([
    ['no password file', { username: 'edge' }, /username without passwordFile/],
    [
      'a file that is not there',
      { username: 'edge', passwordFile: '/no/such/file' },
      /no\/such\/file/,
    ],
    [
      'no credentials directory',
      { username: 'edge', passwordFile: '%d/x' },
      /CREDENTIALS_DIRECTORY/,
    ],
    ['a CA that is not there', { tls: { caFile: '/no/such/ca.pem' } }, /ca\.pem/],
    ['a user in the endpoint', { endpoints: ['http://root:pw@one:1'] }, /is not host:port/],
  ])('%s degrades the agent until the configuration changes', async (_name, more, message) => {
    await targets.apply([config(NOWHERE, more)]);
    await reached('refused');
    expect(reasons.get('sync.etcd')).toMatch(message);
    await vi.waitFor(async () => expect(await eventTypes()).toEqual(['sync.refused etcd']));
    await targets.apply([]);
    expect([...reasons.keys()]).toEqual([]);
  });

  it('an event that cannot be kept is logged, and nothing else happens', async () => {
    events = {
      append: () => Promise.reject(new HoldfastError('NoSpace', 'the disk is full')),
      after: () => Promise.resolve([]),
      last: () => Promise.resolve(0),
    };
    await targets.apply([config(NOWHERE)]);
    await reached('offline');
    await vi.waitFor(() =>
      expect(log.at(-1)?.msg).toBe('event sync.offline was not kept: the disk is full'),
    );
    expect(runner.health()).toMatchObject([{ running: true, restarts: 0 }]);
  });

  it('a target that never answers stops within two seconds', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const connected = new Promise<Socket>((resolve) => silent.once('connection', resolve));
    await targets.apply([config(`127.0.0.1:${(silent.address() as AddressInfo).port}`)]);
    const socket = (await connected).resume();
    const hungUp = new Promise((resolve) => socket.once('close', resolve));
    const late = new Promise((resolve) => setTimeout(resolve, 2000, 'late').unref());
    expect(await Promise.race([targets.apply([]), late])).toBeUndefined();
    await hungUp;
    await new Promise((resolve) => silent.close(resolve));
  });
});
