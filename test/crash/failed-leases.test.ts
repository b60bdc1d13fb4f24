/**
 * Goal: whatever is done with leases, in commits that fail before or after their bytes reached the disk, a
 * key is under a lease exactly when the lease says so, no lease is forgotten or made up, and the end of one
 * takes its keys and no others.
 * Method: a backend whose commits fail where fast-check says; after each step a new engine over the same
 * tables, as the next process would open it, must see the same.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { openMemory } from '../../src/engine/backends/memory.ts';
import { LocalEngine } from '../../src/engine/local-engine.ts';
import { initialWrites } from '../../src/engine/recover.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { Backend } from '../../src/engine/backend.ts';
import type { Engine } from '../../src/engine/index.ts';

const RUNS = 150;
/** So many actions share a commit; the next so many are asked for while it is under way. */
const AT_ONCE = 2;
const VALUE = new Uint8Array([1]);

type Action =
  | { readonly type: 'grant' }
  | { readonly type: 'put'; readonly key: string; readonly lease: number | undefined }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'revoke'; readonly lease: number };

interface Step {
  readonly failure: 'none' | 'before the write' | 'after the write';
  /** Asked for so many at once. `lease` counts through those that were granted. */
  readonly actions: readonly Action[];
}

const key = fc.constantFrom('a', 'b', 'c/1', 'c/2');
const lease = fc.nat(3);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.constant({ type: 'grant' as const }),
  fc.record({ type: fc.constant('put' as const), key, lease }),
  fc.record({ type: fc.constant('put' as const), key, lease }),
  fc.record({ type: fc.constant('put' as const), key, lease: fc.constant(undefined) }),
  fc.record({ type: fc.constant('delete' as const), key }),
  fc.record({ type: fc.constant('revoke' as const), lease }),
);
const step: fc.Arbitrary<Step> = fc.record({
  failure: fc.constantFrom('none', 'none', 'before the write', 'after the write'),
  actions: fc.array(action, { minLength: 1, maxLength: 6 }),
});

function failing(tables: Backend, failure: () => Step['failure']): Backend {
  return {
    ...tables,
    commit: async (writes) => {
      // What comes in meanwhile is applied on top of it.
      for (let turns = 0; turns < 4; turns += 1) await nextTurn();
      if (failure() !== 'before the write') await tables.commit(writes);
      if (failure() !== 'none') throw new HoldfastError('HostFailed', 'the sync failed');
    },
  };
}

function act(engine: Engine, action: Action, granted: readonly number[]): Promise<unknown> {
  const idOf = (n: number): number => granted[n % granted.length] ?? 1;
  switch (action.type) {
    case 'grant':
      return engine.leases.grant(60);
    case 'put': {
      const under = action.lease === undefined ? undefined : idOf(action.lease);
      return engine.put(action.key, VALUE, { lease: under });
    }
    case 'delete':
      return engine.delete(action.key);
    case 'revoke':
      return engine.leases.revoke(idOf(action.lease));
  }
}

/** Each lease with its keys, as the leases say. @throws when the keys say otherwise */
async function leasesOf(engine: Engine): Promise<ReadonlyMap<number, readonly string[]>> {
  const found = new Map<number, readonly string[]>();
  for (const { id } of await engine.leases.list()) {
    found.set(id, (await engine.leases.timeToLive(id)).keys);
  }
  const { kvs } = await engine.list('');
  for (const [id, keys] of found) {
    expect(kvs.filter((kv) => kv.lease === id).map((kv) => kv.key)).toEqual(keys);
  }
  expect(kvs.every((kv) => kv.lease === undefined || found.has(kv.lease))).toBe(true);
  return found;
}

test('leases and keys agree after any commit that failed, and with what the next process sees', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      let failure: Step['failure'] = 'none';
      const tables = openMemory(initialWrites());
      const clock = new FakeClock();
      const engine = await LocalEngine.over(
        failing(tables, () => failure),
        'memory',
        { clock },
      );
      let granted: number[] = [];
      for (const next of steps) {
        failure = next.failure;
        const before = await leasesOf(engine);
        const answers = await Promise.allSettled(
          next.actions.map(async (one, i) => {
            for (let turns = 0; turns < i / AT_ONCE; turns += 1) await nextTurn();
            return act(engine, one, granted);
          }),
        );
        failure = 'none';
        const after = await leasesOf(engine);
        if (next.failure === 'before the write') expect(after).toEqual(before);
        for (const [i, { type }] of next.actions.entries()) {
          const answer = answers[i]!;
          if (type === 'grant' && answer.status === 'fulfilled') {
            expect(after.has(answer.value as number)).toBe(true);
          }
        }
        const process = await LocalEngine.over({ ...tables, close: async () => undefined }, '', {
          clock,
        });
        expect(await leasesOf(process)).toEqual(after);
        expect(await process.list('')).toEqual(await engine.list(''));
        await process.close();
        granted = [...new Set([...granted, ...after.keys()])];
      }
      for (const [id, keys] of await leasesOf(engine)) {
        const others = (await engine.list('')).kvs.filter((kv) => kv.lease !== id);
        const revision = await engine.leases.revoke(id);
        const sets = revision === undefined ? [] : await engine.changes(revision - 1, 1);
        expect(sets.flatMap(({ changes }) => changes.map(({ kv }) => kv.key))).toEqual(keys);
        expect((await engine.list('')).kvs).toEqual(others);
      }
      await engine.close();
      expect(clock.sleeps).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
