/**
 * Goal: the reserve has the size that its rules say, comes with the first write, holds real blocks, grows with
 * the store, and whoever finds no space is tried again in the right order. On real full disks: test/crash/reserve.test.ts.
 */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { GiB, KiB, MiB } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';
import { openMemory } from './backends/memory.ts';
import { openEngine } from './index.ts';
import { KeptRoom } from './kept-room.ts';
import { LocalEngine } from './local-engine.ts';
import { initialWrites } from './recover.ts';
import { Reserve, wantedBytes } from './reserve.ts';
import type { Backend, Write } from './backend.ts';

const VALUE = new Uint8Array(100);

describe('its size', () => {
  test.each([
    ['a new store', 20 * KiB, 0, 100 * GiB, 200 * GiB, MiB],
    ['one that has grown', 5 * MiB, MiB, 100 * GiB, 200 * GiB, 8 * MiB],
    ['a large one', 900 * MiB, 8 * MiB, 100 * GiB, 200 * GiB, 16 * MiB],
    ['a small file system', 5 * MiB, 0, 20 * MiB, 24 * MiB, 2 * MiB],
    ['a nearly full one', 5 * MiB, 0, 3 * MiB, 200 * MiB, MiB],
    ['one where what is kept counts as free', 5 * MiB, 4 * MiB, 4 * MiB, 200 * MiB, 4 * MiB],
    ['the last one that is worth it', 5 * MiB, 0, MiB, 200 * MiB, 512 * KiB],
    ['a full one', 5 * MiB, 0, MiB - 1, 200 * MiB, 0],
  ])('%s', (_, storeBytes, held, freeBytes, totalBytes, wanted) => {
    expect(wantedBytes(storeBytes, held, { freeBytes, totalBytes })).toBe(wanted);
  });
});

test('what it keeps has blocks on the disk, grows, and is given back whole', async () => {
  const file = path.join(tempDir('kept'), 'room');
  const room = new KeptRoom(file);
  await room.release();
  await room.grow(MiB);
  await room.grow(2 * MiB + 5);
  expect(await room.bytes()).toBe(2 * MiB + 5);
  expect(statSync(file).blocks * 512).toBeGreaterThanOrEqual(2 * MiB);
  await room.release();
  expect(existsSync(file)).toBe(false);
});

test.each(['sqlite', 'lmdb'] as const)(
  '%s: comes with the first write, not before',
  async (backend) => {
    const folder = path.join(tempDir('reserve'), 'engine');
    let engine = await openEngine({ backend, path: folder });
    await engine.get('a');
    await engine.close();
    expect(existsSync(path.join(folder, 'reserve'))).toBe(false);
    engine = await openEngine({ backend, path: folder });
    await engine.put('a', VALUE);
    for (let i = 0; i < 8; i += 1) await engine.put(`large/${i}`, new Uint8Array(MiB));
    await engine.close();
    engine = await openEngine({ backend, path: folder });
    expect(await engine.stats()).toMatchObject({ reserveBytes: 16 * MiB, refusesPuts: false });
    await engine.close();
  },
);

/** Tables on the heap on a disk that fills up: `full` fails every commit, `puts` those that put a key. */
class FullDisk implements Backend {
  readonly name = 'full disk';
  readonly costlyCommits = false;
  readonly #tables = openMemory(initialWrites());
  full: 'no' | 'puts' | 'yes' | 'until folded' = 'no';
  folds = 0;
  commits = 0;

  get: Backend['get'] = (table, key) => this.#tables.get(table, key);
  range: Backend['range'] = (query) => this.#tables.range(query);
  find: Backend['find'] = (key, take) => this.#tables.find(key, take);
  scan: Backend['scan'] = (query, visit) => this.#tables.scan(query, visit);
  read: Backend['read'] = (work) => this.#tables.read(work);
  sizeBytes = (): number => this.#tables.sizeBytes();
  close = async (): Promise<void> => undefined;

  fold(): 'done' | 'failed' {
    this.folds += 1;
    if (this.full !== 'until folded') return 'failed';
    this.full = 'no';
    return 'done';
  }

  async commit(writes: readonly Write[]): Promise<void> {
    this.commits += 1;
    const puts = writes.some(({ table, value }) => table === 'kv' && value !== undefined);
    if (this.full === 'no' || (this.full === 'puts' && !puts)) return this.#tables.commit(writes);
    throw new HoldfastError('NoSpace', 'the disk is full');
  }
}

async function onFullDisk(): Promise<{ engine: LocalEngine; disk: FullDisk; reserve: Reserve }> {
  const clock = new FakeClock();
  const disk = new FullDisk();
  const reserve = await Reserve.open(tempDir('full'), disk, clock);
  const engine = await LocalEngine.over(disk, 'memory', { clock, reserve });
  await engine.put('a', VALUE);
  await engine.put('b', VALUE);
  await vi.waitUntil(() => reserve.status.bytes === MiB);
  return { engine, disk, reserve };
}

test('a batch is tried again without its puts, and only they are refused', async () => {
  const { engine, disk } = await onFullDisk();
  const lease = await engine.leases.grant(60);
  await engine.put('leased', VALUE, { lease });
  disk.full = 'puts';
  const answers = await Promise.allSettled([
    engine.delete('a'),
    engine.put('c', VALUE),
    engine.txn(
      [],
      [
        { type: 'delete', key: 'b' },
        { type: 'put', key: 'd', value: VALUE },
      ],
    ),
    engine.leases.revoke(lease),
    engine.delete('missing'),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'rejected',
    'fulfilled',
    'fulfilled',
  ]);
  expect(answers[1]).toMatchObject({ reason: { code: 'NoSpace' } });
  expect((await engine.list('')).kvs.map(({ key }) => key)).toEqual(['b']);
  expect(await engine.stats()).toMatchObject({ refusesPuts: false });
  await engine.close();
});

test('folding comes first: when that makes room nobody is refused', async () => {
  const { engine, disk, reserve } = await onFullDisk();
  disk.full = 'until folded';
  await engine.put('c', VALUE);
  expect(disk.folds).toBe(1);
  // One that failed is not tried again so soon: it is what takes long on a disk that stays full.
  disk.full = 'yes';
  for (let i = 0; i < 3; i += 1) {
    await expect(engine.put('d', VALUE)).rejects.toMatchObject({ code: 'NoSpace' });
  }
  expect(disk.folds).toBe(2);
  expect(reserve.status).toEqual({ bytes: MiB, out: false });
  await engine.close();
});

test('a delete that finds no space gives the reserve back; puts bring it back first', async () => {
  const { engine, disk, reserve } = await onFullDisk();
  disk.full = 'yes';
  const { commits } = disk;
  await expect(engine.delete('a')).rejects.toMatchObject({
    code: 'NoSpace',
    message: expect.stringMatching(/reserve for deletes is used up or taken by others/) as string,
  });
  expect(disk.commits).toBe(commits + 2);
  expect(reserve.status).toEqual({ bytes: 0, out: true });
  disk.full = 'no';
  expect(await engine.delete('a')).toBeDefined();
  expect(reserve.status.out).toBe(true);
  await engine.put('c', VALUE);
  expect(reserve.status).toEqual({ bytes: MiB, out: false });
  await engine.close();
});

test('a compaction is worth the reserve; while it is out each delete shortens the log', async () => {
  const { engine, disk, reserve } = await onFullDisk();
  for (let i = 0; i < 20; i += 1) await engine.put(`k/${i}`, VALUE);
  engine.hold('replica', 0);
  disk.full = 'yes';
  await expect(engine.compact(1, { overHolds: true })).rejects.toMatchObject({ code: 'NoSpace' });
  expect(reserve.status.out).toBe(true);
  disk.full = 'no';
  expect(await engine.compact(1, { overHolds: true })).toEqual({ compactedRevision: 1 });
  const before = await engine.stats();
  for (let i = 0; i < 10; i += 1) await engine.delete(`k/${i}`);
  const after = await engine.stats();
  expect(after.logBytes).toBeLessThan(before.logBytes);
  expect(after.compactedRevision).toBeGreaterThan(before.compactedRevision);
  await engine.close();
});
