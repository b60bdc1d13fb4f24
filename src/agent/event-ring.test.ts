/**
 * Goal: events are numbered without a gap over restarts and failures, the ring keeps to its limit, and
 * a stalled engine doesn't fill memory. Method: the real engine; only its failures are staged.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { EngineEventRing } from './event-ring.ts';

const EVENT = { type: 'test.event', subject: 'x', message: 'something happened' };

async function appendMany(ring: EngineEventRing, count: number): Promise<number[]> {
  const events = await Promise.all(Array.from({ length: count }, () => ring.append(EVENT)));
  return events.map(({ seq }) => seq);
}

async function kept(ring: EngineEventRing): Promise<number[]> {
  return (await ring.after(0, 10_000)).map(({ seq }) => seq);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** The engine with one method replaced; the rest is the real one. */
function staged(engine: Engine, txn: Engine['txn']): Engine {
  return new Proxy(engine, {
    get(target, name) {
      if (name === 'txn') return txn;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

describe('EngineEventRing', () => {
  let engine: Engine;
  beforeEach(async () => {
    engine = await openEngine({ backend: 'memory', path: '/none' });
    return () => engine.close();
  });

  it('numbers from 1 in the order of the appends, with time and epoch', async () => {
    const clock = { wallMs: () => Date.UTC(2026, 0, 2), monoMs: () => 0, sleep: async () => {} };
    const ring = new EngineEventRing({ engine, epoch: 'boot.1', clock });
    expect(await ring.last()).toBe(0);
    const [one, two] = await Promise.all([
      ring.append({ ...EVENT, data: { a: 1 } }),
      ring.append({ ...EVENT, subject: 'y' }),
    ]);
    const common = { at: '2026-01-02T00:00:00.000Z', epoch: 'boot.1' };
    expect(one).toEqual({ seq: 1, ...common, ...EVENT, data: { a: 1 } });
    expect(await ring.after(0, 10)).toEqual([one, two]);
    expect(await ring.after(1, 10)).toEqual([two]);
    expect(await ring.after(0, 1)).toEqual([one]);
    expect(await ring.after(-5, 10)).toHaveLength(2);
    expect(await ring.after(2, 10)).toEqual([]);
    const next = new EngineEventRing({ engine, epoch: 'boot.2' });
    expect([await ring.last(), await next.last()]).toEqual([2, 2]);
  });

  it('goes on after a restart where the last one stopped', async () => {
    const path = tempDir('events');
    for (const [run, expected] of [
      [1, 2],
      [3, 4],
      [5, 6],
    ].entries()) {
      const disk = await openEngine({ backend: 'sqlite', path });
      const ring = new EngineEventRing({ engine: disk, epoch: `boot.${run}`, limit: 3 });
      expect(await appendMany(ring, 2)).toEqual(expected);
      expect(await kept(ring)).toEqual(range(Math.max(1, expected[1]! - 2), expected[1]!));
      await disk.close();
    }
  });

  it('keeps no more than its limit, one transaction at a time', async () => {
    const ring = new EngineEventRing({ engine, epoch: 'e', limit: 100 });
    expect(await appendMany(ring, 250)).toEqual(range(1, 250));
    expect(await kept(ring)).toEqual(range(151, 250));
    // 1 for the first, which didn't wait for the others, and then 64 each.
    expect(engine.revision).toBe(1 + Math.ceil(249 / 64));
  });

  it('has no hole and no leftover with a limit smaller than a batch', async () => {
    const ring = new EngineEventRing({ engine, epoch: 'e', limit: 3 });
    await appendMany(ring, 60);
    await ring.append(EVENT);
    expect(await kept(ring)).toEqual([59, 60, 61]);
  });

  it('shrinks an older, larger ring in steps', async () => {
    await appendMany(new EngineEventRing({ engine, epoch: 'e', limit: 300 }), 300);
    const ring = new EngineEventRing({ engine, epoch: 'e', limit: 10 });
    await ring.append(EVENT);
    expect(await kept(ring)).toEqual(range(101, 301));
    await ring.append(EVENT);
    await ring.append(EVENT);
    expect(await kept(ring)).toEqual(range(294, 303));
  });

  it('asks the engine again when it doesn’t know whether a number was used', async () => {
    let answers: 'fails' | 'is lost' | 'comes' = 'comes';
    const flaky = staged(engine, async (conditions, ops) => {
      if (answers === 'fails') throw new Error('no');
      const revision = await engine.txn(conditions, ops);
      if (answers === 'is lost') throw new Error('written, but who knows');
      return revision;
    });
    const ring = new EngineEventRing({ engine: flaky, epoch: 'e' });
    await ring.append(EVENT);
    answers = 'fails';
    await expect(ring.append(EVENT)).rejects.toThrow('no');
    answers = 'is lost';
    await expect(ring.append(EVENT)).rejects.toThrow('who knows');
    answers = 'comes';
    expect((await ring.append(EVENT)).seq).toBe(3);
    expect(await kept(ring)).toEqual([1, 2, 3]);
  });

  it('refuses more than 1,000 waiting ones, and writes those once the engine answers', async () => {
    let answer = (): void => undefined;
    const stalled = new Promise<void>((resolve) => (answer = resolve));
    const slow = staged(engine, async (conditions, ops) => {
      await stalled;
      return await engine.txn(conditions, ops);
    });
    const ring = new EngineEventRing({ engine: slow, epoch: 'e', limit: 2_000 });
    // One is on its way, 1,000 wait.
    const waiting = appendMany(ring, 1_001);
    await expect(ring.append(EVENT)).rejects.toMatchObject({ code: 'Unavailable', retry: 'later' });
    answer();
    expect(await waiting).toEqual(range(1, 1_001));
    expect((await ring.append(EVENT)).seq).toBe(1_002);
  });

  it('refuses an event of more than 64 KiB and takes the next', async () => {
    const ring = new EngineEventRing({ engine, epoch: 'e' });
    const large = { ...EVENT, data: 'x'.repeat(64 * 1024) };
    await expect(ring.append(large)).rejects.toMatchObject({ code: 'TooLarge' });
    expect((await ring.append(EVENT)).seq).toBe(1);
  });
});
