/**
 * Goal: whatever the log holds, an outbox and its batches leave the target as the log says, in batches
 * within the limits; only a single mutation may exceed them, alone.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Change, ChangeSet } from '../engine/index.ts';
import { batchesOf, mutationBytes, Outbox } from './outbox.ts';
import type { BatchLimits, Mutation } from './target.ts';

const key = fc.constantFrom('kv/a', 'kv/b', 'kv/ü', 'volumes/1', 'events/1', 'sync/cursor/x');
const change = fc.record({
  type: fc.constantFrom('put' as const, 'delete' as const),
  key,
  size: fc.nat({ max: 700 }),
});
const log = fc.array(fc.uniqueArray(change, { maxLength: 4, selector: ({ key: k }) => k }), {
  maxLength: 30,
});
const limits = fc.record({
  entries: fc.integer({ min: 1, max: 5 }),
  bytes: fc.integer({ min: 1, max: 2000 }),
});

function toSets(drawn: { type: 'put' | 'delete'; key: string; size: number }[][]): ChangeSet[] {
  return drawn.map((changes, index) => ({
    revision: index + 1,
    changes: changes.map(({ type, key: name, size }): Change => {
      const value = new Uint8Array(type === 'put' ? size : 0).fill(index);
      const revisions = { createRevision: 1, modRevision: index + 1, version: 1 };
      return { type, kv: { key: name, value, ...revisions } };
    }),
  }));
}

const isOut = (name: string): boolean => name.startsWith('kv/') || name.startsWith('volumes/');

function expectWithin(batch: readonly Mutation[], { entries, bytes }: BatchLimits): void {
  expect(batch.length).toBeGreaterThan(0);
  if (batch.length === 1) return;
  expect(batch.length).toBeLessThanOrEqual(entries);
  expect(batch.reduce((sum, each) => sum + mutationBytes(each), 0)).toBeLessThanOrEqual(bytes);
}

async function collect(mutations: Iterable<Mutation>, limit: BatchLimits): Promise<Mutation[][]> {
  const batches: Mutation[][] = [];
  for await (const batch of batchesOf(mutations, limit)) batches.push([...batch]);
  return batches;
}

describe('Outbox', () => {
  it('leaves the target as the log says, each key once per outbox, none that is local', async () => {
    await fc.assert(
      fc.asyncProperty(log, limits, async (drawn, limit) => {
        const expected = new Map<string, Uint8Array>();
        const target = new Map<string, Uint8Array>();
        let outbox = new Outbox(limit, 0);
        const send = async (): Promise<void> => {
          const sent = (await collect(outbox.mutations(), limit)).flat();
          expect(new Set(sent.map((each) => each.key)).size).toBe(sent.length);
          for (const each of sent) {
            if (each.type === 'put') target.set(each.key, each.value);
            else target.delete(each.key);
          }
          outbox = new Outbox(limit, outbox.revision);
        };
        for (const set of toSets(drawn)) {
          for (const { type, kv } of set.changes.filter((each) => isOut(each.kv.key))) {
            if (type === 'put') expected.set(kv.key, kv.value);
            else expected.delete(kv.key);
          }
          if (outbox.add(set)) continue;
          await send();
          expect(outbox.add(set)).toBe(true);
        }
        expect(outbox.revision).toBe(drawn.length);
        await send();
        expect(target).toEqual(expected);
      }),
    );
  });

  it('holds no more than the limits, or a single set', () => {
    fc.assert(
      fc.property(log, limits, (drawn, limit) => {
        const outbox = new Outbox(limit, 0);
        let sets = 0;
        for (const set of toSets(drawn)) {
          if (!outbox.add(set)) break;
          if (set.changes.some(({ kv }) => isOut(kv.key))) sets += 1;
        }
        expect(outbox.revisions).toBe(sets);
        const held = [...outbox.mutations()];
        if (sets > 1) expectWithin(held, limit);
      }),
    );
  });

  it('counts what matters apart from where it stands', () => {
    const outbox = new Outbox({ entries: 10, bytes: 1000 }, 7);
    const [first, second] = toSets([
      [{ type: 'put', key: 'events/1', size: 1 }],
      [{ type: 'put', key: 'kv/a', size: 1 }],
    ]);
    expect(outbox.add({ ...first!, revision: 8 })).toBe(true);
    expect([outbox.empty, outbox.revision, outbox.revisions]).toEqual([true, 8, 0]);
    expect(outbox.add({ ...second!, revision: 9 })).toBe(true);
    expect([outbox.empty, outbox.revision, outbox.revisions]).toEqual([false, 9, 1]);
  });
});

describe('batchesOf', () => {
  const mutation = fc.record({
    type: fc.constant('put' as const),
    key: fc.string({ minLength: 1, maxLength: 5 }),
    value: fc.uint8Array({ maxLength: 900 }),
  });

  it('keeps order, loses nothing, stays within limits, and is as full as it may be', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { maxLength: 20 }), limits, async (all, limit) => {
        const batches = await collect(all, limit);
        expect(batches.flat()).toEqual(all);
        for (const [index, batch] of batches.entries()) {
          expectWithin(batch, limit);
          const next = batches[index + 1]?.[0];
          if (!next) continue;
          const bytes = [...batch, next].reduce((sum, each) => sum + mutationBytes(each), 0);
          expect(batch.length === limit.entries || bytes > limit.bytes).toBe(true);
        }
      }),
    );
  });
});
