/**
 * Goal: what the disk does to leases: they survive a restart with a whole time to live, an end that could
 * not be written is tried until it is, a commit of unknown outcome loses none, and keep-alives write nothing.
 */
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { HoldfastError } from '../base/errors.ts';
import { openMemory } from './backends/memory.ts';
import { openEngine } from './index.ts';
import { LEASE_CONFIRM_MS, LEASE_RETRY_MS, LEASES_MAX } from './limits.ts';
import { LocalEngine } from './local-engine.ts';
import { initialWrites } from './recover.ts';
import type { Backend, Write } from './backend.ts';

const VALUE = new Uint8Array([1]);

/** Tables on the heap whose commits can be made to fail, and are counted. */
class TroubledBackend implements Backend {
  readonly name = 'troubled';
  readonly costlyCommits = false;
  readonly #tables = openMemory(initialWrites());
  trouble: 'none' | 'full' | 'unknown outcome' = 'none';
  commits = 0;

  get: Backend['get'] = (table, key) => this.#tables.get(table, key);
  range: Backend['range'] = (query) => this.#tables.range(query);
  find: Backend['find'] = (key, take) => this.#tables.find(key, take);
  scan: Backend['scan'] = (query, visit) => this.#tables.scan(query, visit);
  read: Backend['read'] = (work) => this.#tables.read(work);
  sizeBytes = (): number => this.#tables.sizeBytes();
  close = async (): Promise<void> => undefined;

  async commit(writes: readonly Write[]): Promise<void> {
    this.commits += 1;
    if (this.trouble === 'full') throw new HoldfastError('NoSpace', 'the disk is full');
    await this.#tables.commit(writes);
    if (this.trouble === 'unknown outcome')
      throw new HoldfastError('HostFailed', 'the sync failed');
  }
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await nextTurn();
}

async function sleeping(clock: FakeClock, ms: number): Promise<void> {
  await until(() => clock.sleeps[0] === ms);
}

describe.each(['sqlite', 'lmdb'] as const)('%s', (name) => {
  test('a restart keeps leases and keys, and gives each its whole time again', async () => {
    const clock = new FakeClock();
    const store = { backend: name, path: path.join(tempDir('lease'), 'engine'), clock };
    let engine = await openEngine(store);
    const lease = await engine.leases.grant(10);
    const revoked = await engine.leases.grant(10);
    await engine.txn([], [{ type: 'put', key: 'a', value: VALUE, lease }]);
    await engine.put('b', VALUE, { lease });
    await engine.put('c', VALUE, { lease: revoked });
    await engine.leases.revoke(revoked);
    await sleeping(clock, 10_000);
    clock.advance(9_000);
    await engine.close();
    clock.advance(3_600_000);

    engine = await openEngine(store);
    expect(await engine.leases.list()).toEqual([
      { id: lease, ttlSeconds: 10, remainingMs: 10_000 },
    ]);
    expect((await engine.leases.timeToLive(lease)).keys).toEqual(['a', 'b']);
    expect((await engine.list('')).kvs.map((kv) => kv.lease)).toEqual([lease, lease]);
    const { revision } = engine;
    await sleeping(clock, 10_000);
    clock.advance(10_000);
    await sleeping(clock, LEASE_CONFIRM_MS);
    clock.advance(LEASE_CONFIRM_MS);
    await until(() => engine.revision === revision + 1);
    expect((await engine.list('')).kvs).toEqual([]);
    await engine.close();

    engine = await openEngine(store);
    expect(await engine.leases.list()).toEqual([]);
    expect(engine.revision).toBe(revision + 1);
    await engine.close();
    expect(clock.sleeps).toEqual([]);
  });
});

test('on a full disk an ended lease waits, says so, and goes when there is room', async () => {
  const clock = new FakeClock();
  const backend = new TroubledBackend();
  const engine = await LocalEngine.over(backend, 'memory', { clock });
  const lease = await engine.leases.grant(1);
  await engine.put('a', VALUE, { lease });
  backend.trouble = 'full';
  await sleeping(clock, 1_000);
  clock.advance(1_000);
  for (let tries = 0; tries < 3; tries += 1) {
    await sleeping(clock, LEASE_CONFIRM_MS);
    clock.advance(LEASE_CONFIRM_MS);
    await sleeping(clock, LEASE_RETRY_MS);
    expect(await engine.get('a')).toMatchObject({ lease });
    expect(await engine.leases.list()).toEqual([{ id: lease, ttlSeconds: 1, remainingMs: 0 }]);
    await expect(engine.leases.keepAlive(lease)).rejects.toMatchObject({ code: 'NotFound' });
    clock.advance(LEASE_RETRY_MS);
  }
  backend.trouble = 'none';
  await sleeping(clock, LEASE_CONFIRM_MS);
  clock.advance(LEASE_CONFIRM_MS);
  await until(() => engine.revision === 2);
  expect(await engine.get('a')).toBeUndefined();
  await until(async () => (await engine.leases.list()).length === 0);
  expect(clock.sleeps).toEqual([]);
  await engine.close();
});

test('a grant and an end of unknown outcome are what the disk says', async () => {
  const clock = new FakeClock();
  const backend = new TroubledBackend();
  const engine = await LocalEngine.over(backend, 'memory', { clock });
  backend.trouble = 'unknown outcome';
  await expect(engine.leases.grant(5)).rejects.toMatchObject({ code: 'HostFailed' });
  const [granted] = await engine.leases.list();
  expect(granted).toMatchObject({ ttlSeconds: 5, remainingMs: 5_000 });
  backend.trouble = 'none';
  await engine.put('a', VALUE, { lease: granted!.id });
  backend.trouble = 'unknown outcome';
  await expect(engine.leases.revoke(granted!.id)).rejects.toMatchObject({ code: 'HostFailed' });
  expect(await engine.leases.list()).toEqual([]);
  expect(await engine.get('a')).toBeUndefined();
  backend.trouble = 'full';
  await expect(engine.leases.grant(5)).rejects.toMatchObject({ code: 'NoSpace' });
  expect(await engine.leases.list()).toEqual([]);
  await engine.close();
});

test('no more leases than are allowed, also when they are asked for at once', async () => {
  const engine = await openEngine({ backend: 'memory', path: '', clock: new FakeClock() });
  const asked = Array.from({ length: LEASES_MAX + 1 }, () => engine.leases.grant(60));
  const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected');
  expect(refused).toMatchObject([{ reason: { code: 'Unavailable', retry: 'later' } }]);
  const [first] = await engine.leases.list();
  await engine.leases.revoke(first!.id);
  await engine.leases.grant(60);
  await expect(engine.leases.grant(60)).rejects.toMatchObject({ code: 'Unavailable' });
  await engine.close();
});

test('keep-alives, and leases that are only there, write nothing', async () => {
  const clock = new FakeClock();
  const backend = new TroubledBackend();
  const engine = await LocalEngine.over(backend, 'memory', { clock });
  const lease = await engine.leases.grant(2);
  await engine.put('a', VALUE, { lease });
  const { commits } = backend;
  for (let i = 0; i < 100; i += 1) {
    await until(() => clock.sleeps.length > 0);
    clock.advance(1_000);
    await engine.leases.keepAlive(lease);
  }
  expect(backend.commits).toBe(commits);
  expect(engine.revision).toBe(1);
  await engine.close();
});
