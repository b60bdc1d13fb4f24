/**
 * Goal: whatever is asked in whatever order, restarts in between, the engine holds what a plain map
 * would, its log tells the same story, and a watch sees each revision once.
 * Method: fast-check makes the sequences and shortens what fails; its seed is in the failure.
 */
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openEngine, type Engine, type Op } from '../../src/engine/index.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Model } from './model.ts';
import { WatchLog } from './watch-log.ts';

const RUNS = 25;
const STEPS_MAX = 40;

type Step =
  | { readonly type: 'txn'; readonly ops: readonly Op[] }
  | {
      readonly type: 'swap';
      readonly key: string;
      readonly value: Uint8Array;
      readonly off: number;
    }
  | { readonly type: 'burst'; readonly ops: readonly Op[] }
  | { readonly type: 'compact'; readonly keep: number }
  | { readonly type: 'restart' };

const key = fc.constantFrom('a', 'a/b', 'a/b/c', 'b', 'c/1', 'c/2', 'c0');
const value = fc.uint8Array({ maxLength: 40 });
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), key, value }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
);
const differentKeys = { maxLength: 5, selector: (one: Op) => one.key };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('txn' as const), ops: fc.uniqueArray(op, differentKeys) }),
  fc.record({
    type: fc.constant('swap' as const),
    key,
    value,
    off: fc.integer({ min: 0, max: 1 }),
  }),
  fc.record({ type: fc.constant('burst' as const), ops: fc.array(op, { maxLength: 20 }) }),
  fc.record({ type: fc.constant('compact' as const), keep: fc.nat(5) }),
  fc.constant({ type: 'restart' as const }),
);

describe.each(['sqlite', 'lmdb', 'memory'] as const)('%s', (backend) => {
  test('any sequence of calls, with restarts, gives what the model gives', async () => {
    const folder = tempDir('model');
    let stores = 0;
    // What is on the heap is gone with a restart: for memory it is left out.
    const steps = backend === 'memory' ? step.filter(({ type }) => type !== 'restart') : step;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: STEPS_MAX }), async (sequence) => {
        stores += 1;
        const store = { backend, path: path.join(folder, `${stores}`) };
        const model = new Model();
        let engine = await openEngine(store);
        const watched = new WatchLog();
        watched.follow(engine);
        try {
          for (const next of sequence) {
            if (next.type === 'restart') {
              await watched.reached(model.revision);
              await engine.close();
              engine = await openEngine(store);
              watched.follow(engine);
            } else await act(engine, model, next);
            await compare(engine, model);
          }
          await watched.reached(model.revision);
          expect(watched.sets).toEqual(model.history);
        } finally {
          await engine.close();
        }
      }),
      { numRuns: RUNS },
    );
  });
});

async function act(engine: Engine, model: Model, step: Exclude<Step, { type: 'restart' }>) {
  switch (step.type) {
    case 'txn':
      model.apply(step.ops);
      expect(await engine.txn([], step.ops)).toBe(model.revision);
      return;
    case 'burst':
      await burst(engine, model, step.ops);
      return;
    case 'swap': {
      const expected = (model.state.get(step.key)?.modRevision ?? 0) + step.off;
      const put = engine.put(step.key, step.value, { ifRevision: expected });
      if (step.off === 0) {
        model.apply([{ type: 'put', key: step.key, value: step.value }]);
        expect(await put).toBe(model.revision);
      } else await expect(put).rejects.toMatchObject({ code: 'KeyModified' });
      return;
    }
    case 'compact': {
      const revision = Math.max(0, model.revision - step.keep);
      await engine.compact(revision);
      model.compacted = Math.max(model.compacted, revision);
    }
  }
}

/** All at once: they share commits, and happen in the order they were asked. */
async function burst(engine: Engine, model: Model, ops: readonly Op[]): Promise<void> {
  const expected = ops.map((one) => {
    const changed = model.apply([one]);
    return changed || one.type === 'put' ? model.revision : undefined;
  });
  const answers = ops.map((one) =>
    one.type === 'put' ? engine.put(one.key, one.value) : engine.delete(one.key),
  );
  expect(await Promise.all(answers)).toEqual(expected);
}

async function compare(engine: Engine, model: Model): Promise<void> {
  expect((await engine.list('')).kvs).toEqual(model.sorted());
  expect(await engine.stats()).toMatchObject({
    revision: model.revision,
    compactedRevision: model.compacted,
    keys: model.state.size,
  });
  expect(await engine.changes(model.compacted, 10_000)).toEqual(
    model.history.slice(model.compacted),
  );
}
