/**
 * Goal: a relaxed write is answered before its sync, which comes in time; no other write loses its own sync
 * for it; and after an end without a close no revision that was handed out comes again.
 * Method: a backend over memory that tells which commits were synced; real stores that are left open.
 */
import { cpSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { HoldfastError } from '../base/errors.ts';
import { openMemory } from './backends/memory.ts';
import { openEngine, type Engine } from './index.ts';
import { RELAXED_REVISIONS } from './limits.ts';
import { LocalEngine } from './local-engine.ts';
import { initialWrites } from './recover.ts';
import type { Backend } from './backend.ts';

const VALUE = new Uint8Array([1]);
const RELAXED = { durability: { relaxedMs: 100 } } as const;

let engine: Engine | undefined;
afterEach(async () => {
  await engine?.close().catch(() => undefined);
});

/** Commits as they were asked for, and syncs. */
function watched(events: string[]): Backend {
  const tables = openMemory(initialWrites());
  return {
    ...tables,
    commit: async (writes, relaxed) => {
      events.push(relaxed ? 'relaxed' : 'synced');
      await tables.commit(writes);
    },
    sync: async () => void events.push('sync'),
  };
}

test('the sync comes in time, once, and not where another commit was synced', async () => {
  const events: string[] = [];
  const clock = new FakeClock();
  engine = await LocalEngine.over(watched(events), 'memory', { clock });
  await engine.put('a', VALUE, RELAXED);
  // The first one has to write the ceiling.
  expect(events).toEqual(['synced']);
  await engine.put('a', VALUE, RELAXED);
  await engine.put('a', VALUE, RELAXED);
  expect(events).toEqual(['synced', 'relaxed', 'relaxed']);
  clock.advance(99);
  await engine.put('a', VALUE, { durability: { relaxedMs: 1000 } });
  expect(events.splice(0)).toEqual(['synced', 'relaxed', 'relaxed', 'relaxed']);
  clock.advance(1);
  await expect.poll(() => events).toEqual(['sync']);
  clock.advance(2000);
  expect(events.splice(0)).toEqual(['sync']);

  await engine.put('a', VALUE, RELAXED);
  await engine.put('b', VALUE);
  clock.advance(2000);
  expect(events.splice(0)).toEqual(['relaxed', 'synced']);
  expect(clock.sleeps).toEqual([]);
});

test('what shares a commit with a write that waits for its sync is synced', async () => {
  const events: string[] = [];
  engine = await LocalEngine.over(watched(events), 'memory', { clock: new FakeClock() });
  await engine.put('a', VALUE, RELAXED);
  events.splice(0);
  await Promise.all([engine.put('a', VALUE, RELAXED), engine.put('b', VALUE)]);
  expect(events).toEqual(['synced']);
});

test('a store may be relaxed by default, a write of it still be synced', async () => {
  const events: string[] = [];
  const parts = { clock: new FakeClock(), durability: { relaxedMs: 5 } } as const;
  engine = await LocalEngine.over(watched(events), 'memory', parts);
  await engine.put('a', VALUE);
  await engine.put('a', VALUE);
  await engine.delete('a');
  await engine.transact({ then: [{ type: 'put', key: 'a', value: VALUE }] });
  await engine.put('a', VALUE, { durability: 'commit' });
  expect(events).toEqual(['synced', 'relaxed', 'relaxed', 'relaxed', 'synced']);
});

test('after a sync that failed nothing is written any more: what was answered may be lost', async () => {
  const clock = new FakeClock();
  let asked = 0;
  const sync = async (): Promise<void> => {
    asked += 1;
    throw new HoldfastError('HostFailed', 'EIO');
  };
  engine = await LocalEngine.over({ ...watched([]), sync }, 'memory', { clock });
  await engine.put('a', VALUE, RELAXED);
  await engine.put('a', VALUE, RELAXED);
  clock.advance(100);
  await expect.poll(() => asked).toBe(1);
  await expect(engine.put('a', VALUE)).rejects.toMatchObject({
    code: 'Unavailable',
    message: expect.stringContaining('may be lost'),
  });
});

test.each([0, 1.5, -1, 60_001, Number.NaN])('%s ms are refused', async (relaxedMs) => {
  engine = await LocalEngine.over(openMemory(initialWrites()), 'memory');
  const refused = { code: 'InvalidArgument', message: expect.stringContaining('60000') };
  await expect(engine.put('a', VALUE, { durability: { relaxedMs } })).rejects.toMatchObject(
    refused,
  );
});

describe('sqlite', () => {
  const open = (folder: string): Promise<Engine> => openEngine({ backend: 'sqlite', path: folder });

  /** The store as a crash would leave it. */
  function crashed(folder: string): string {
    const copy = path.join(tempDir('relaxed'), 'copy');
    cpSync(folder, copy, { recursive: true });
    return copy;
  }

  test('after an end without a close it goes on above all revisions that were handed out', async () => {
    const folder = path.join(tempDir('relaxed'), 'store');
    engine = await open(folder);
    await engine.put('a', VALUE);
    const last = await engine.put('b', VALUE, RELAXED);
    const copy = crashed(folder);
    await engine.close();

    engine = await open(copy);
    expect(engine.revision).toBe(last + RELAXED_REVISIONS);
    expect((await engine.list('')).kvs.map(({ key }) => key)).toEqual(['a', 'b']);
    await expect(engine.changes(last, 10)).rejects.toMatchObject({ code: 'Compacted' });
    expect(await engine.put('c', VALUE)).toBe(last + RELAXED_REVISIONS + 1);
    const { revision } = engine;
    await engine.close();

    engine = await open(copy);
    expect(engine.revision).toBe(revision);
    expect(await engine.changes(last + RELAXED_REVISIONS, 10)).toHaveLength(1);
  });

  test('once revisions are above the ceiling by synced writes, a crash loses none', async () => {
    const folder = path.join(tempDir('relaxed'), 'store');
    engine = await open(folder);
    await engine.put('a', VALUE, RELAXED);
    const put = { type: 'put', key: 'n', value: VALUE } as const;
    const all = Array.from({ length: RELAXED_REVISIONS + 1 }, () => engine!.txn([], [put]));
    const last = Math.max(...(await Promise.all(all)));
    const copy = crashed(folder);
    await engine.close();

    engine = await open(copy);
    expect(engine.revision).toBe(last);
    expect(await engine.changes(last - 1, 1)).toHaveLength(1);
  });

  test('a store that was closed goes on where it was', async () => {
    const folder = path.join(tempDir('relaxed'), 'store');
    engine = await open(folder);
    const last = await engine.put('b', VALUE, RELAXED);
    await engine.close();
    engine = await open(folder);
    expect(engine.revision).toBe(last);
    expect(await engine.changes(0, 10)).toHaveLength(1);
  });
});
