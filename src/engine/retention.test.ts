/**
 * Goal: the log is kept for its age and for whoever holds it, and no longer: over restarts, in bounded
 * steps, with nothing written while idle, and within the limits of the whole log whoever holds it.
 */
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { openMemory } from './backends/memory.ts';
import { openEngine, type Engine } from './index.ts';
import { COMPACT_STEP_REVISIONS, HISTORY_MARKS, LOG_BYTES_MAX, VALUE_BYTES_MAX } from './limits.ts';
import { LocalEngine } from './local-engine.ts';
import { initialWrites } from './recover.ts';
import { Retention } from './retention.ts';
import type { Backend } from './backend.ts';

const HOUR_MS = 3_600_000;
const VALUE = new Uint8Array([1]);

async function puts(engine: Engine, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => engine.put(`k/${i}`, VALUE)));
}

/** Each brings a bounded step with it. */
async function commits(engine: Engine, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await engine.put('again', VALUE);
}

const compactedOf = async (engine: Engine): Promise<number> =>
  (await engine.stats()).compactedRevision;

describe.each(['sqlite', 'lmdb', 'memory'] as const)('%s', (backend) => {
  const store = (clock: FakeClock, more: { holders?: string[] } = {}) => ({
    backend,
    path: path.join(tempDir('retention'), 'engine'),
    clock,
    historyMs: HOUR_MS,
    ...more,
  });

  test('what is older than the history goes with the next commits, nothing younger', async () => {
    const clock = new FakeClock();
    const engine = await openEngine(store(clock));
    await puts(engine, 10);
    clock.advance(HOUR_MS / 2);
    await puts(engine, 10);
    expect(await engine.stats()).toMatchObject({ compactedRevision: 0, oldestAgeMs: HOUR_MS / 2 });
    clock.advance(HOUR_MS / 2);
    // Nothing is dropped, and nothing written, by time alone.
    expect(await engine.stats()).toMatchObject({ compactedRevision: 0, oldestAgeMs: HOUR_MS });
    await commits(engine, 1);
    expect(await engine.stats()).toMatchObject({ compactedRevision: 10, oldestAgeMs: HOUR_MS / 2 });
    clock.advance(HOUR_MS);
    await commits(engine, 1);
    expect(await compactedOf(engine)).toBe(21);
    expect((await engine.list('k')).kvs).toHaveLength(10);
    await engine.close();
  });

  test('who holds the log keeps it from its age and from a compaction', async () => {
    const clock = new FakeClock();
    const engine = await openEngine(store(clock, { holders: ['etcd'] }));
    await puts(engine, 10);
    clock.advance(2 * HOUR_MS);
    await commits(engine, 1);
    // It is expected, and hasn't said yet where it is.
    expect(await engine.stats()).toMatchObject({
      compactedRevision: 0,
      holds: [{ name: 'etcd', revision: 0 }],
      heldBy: { name: 'etcd', revision: 0 },
    });
    engine.hold('etcd', 4);
    engine.hold('other', 6);
    await commits(engine, 1);
    expect(await compactedOf(engine)).toBe(4);
    expect(await engine.compact(9)).toEqual({
      compactedRevision: 4,
      heldBy: { name: 'etcd', revision: 4 },
    });
    engine.hold('etcd', undefined);
    expect(await engine.compact(9)).toMatchObject({
      compactedRevision: 6,
      heldBy: { revision: 6 },
    });
    expect(await engine.compact(9, { overHolds: true })).toEqual({ compactedRevision: 9 });
    expect((await engine.stats()).heldBy).toEqual({ name: 'other', revision: 6 });
    expect(() => engine.hold('other', -1)).toThrow(/cannot hold the log after revision -1/);
    await engine.close();
  });

  test('a reader that is held up meets the limit of the whole log', async () => {
    const engine = await openEngine(store(new FakeClock(), { holders: ['etcd'] }));
    const large = new Uint8Array(VALUE_BYTES_MAX - 1024);
    const count = LOG_BYTES_MAX / VALUE_BYTES_MAX + 8;
    for (let i = 0; i < count; i += 1) await engine.put('large', large);
    const { compactedRevision, logBytes } = await engine.stats();
    expect(compactedRevision).toBeGreaterThan(4);
    expect(logBytes).toBeLessThanOrEqual(LOG_BYTES_MAX);
    await expect(engine.changes(0, 1)).rejects.toMatchObject({ code: 'Compacted' });
    await engine.close();
  });
});

test('ages go on after a restart, without the time in between', async () => {
  const options = { backend: 'sqlite', path: path.join(tempDir('ages'), 'engine') } as const;
  let clock = new FakeClock();
  let engine = await openEngine({ ...options, clock, historyMs: HOUR_MS });
  await puts(engine, 5);
  clock.advance(HOUR_MS * 0.7);
  await commits(engine, 1);
  await engine.close();
  clock.advance(100 * HOUR_MS);

  // Another process, another zero of the clock.
  clock = new FakeClock();
  engine = await openEngine({ ...options, clock, historyMs: HOUR_MS });
  await commits(engine, 1);
  expect(await engine.stats()).toMatchObject({ compactedRevision: 0, oldestAgeMs: HOUR_MS * 0.7 });
  clock.advance(HOUR_MS * 0.3);
  await commits(engine, 1);
  expect(await engine.stats()).toMatchObject({ compactedRevision: 5, oldestAgeMs: HOUR_MS * 0.3 });
  await engine.close();
});

test('an old log goes in bounded steps, each larger than what a commit adds', async () => {
  const clock = new FakeClock();
  const tables = openMemory(initialWrites());
  const dropped: number[] = [];
  const backend: Backend = {
    ...tables,
    commit: (writes) => {
      dropped.push(writes.filter(({ table, value }) => table === 'log' && !value).length);
      return tables.commit(writes);
    },
  };
  const engine = await LocalEngine.over(backend, 'memory', { clock, historyMs: HOUR_MS });
  const count = 3 * COMPACT_STEP_REVISIONS;
  await puts(engine, count);
  clock.advance(HOUR_MS);
  dropped.length = 0;
  await commits(engine, 4);
  expect(dropped).toEqual([...Array<number>(3).fill(COMPACT_STEP_REVISIONS), 0]);
  expect(await compactedOf(engine)).toBe(count);
  await engine.close();
});

test('marks stay few, however long a log is held and however busy it is', () => {
  const clock = new FakeClock();
  const holders = ['away'];
  const retention = new Retention({ marks: [], revision: 0, clock, historyMs: HOUR_MS, holders });
  const written = new Set<string>();
  for (let i = 1; i <= 10_000; i += 1) {
    const step = retention.mark(0);
    for (const { key, value } of step?.writes ?? []) {
      const name = Buffer.from(key).toString('hex');
      if (value) written.add(name);
      else expect(written.delete(name)).toBe(true);
    }
    retention.committed(i, step);
    clock.advance(HOUR_MS / HISTORY_MARKS / 7);
  }
  expect(written.size).toBeGreaterThan(HISTORY_MARKS - 2);
  expect(written.size).toBeLessThan(HISTORY_MARKS + 4);
  // The first one is still there: it says how old the log is.
  expect(retention.oldestAgeMs({ compacted: 0, revision: 10_000 })).toBeGreaterThan(14 * HOUR_MS);
  const ofHistory = 7 * HISTORY_MARKS;
  expect(10_000 - retention.agedRevision).toBeGreaterThanOrEqual(ofHistory - 1);
  expect(10_000 - retention.agedRevision).toBeLessThan(ofHistory + 14);
});
