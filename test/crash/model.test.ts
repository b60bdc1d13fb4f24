/**
 * Goal: whatever is asked in whatever order, restarts and crashes in between, the engine holds what a plain map
 * would, now and at each older revision, transactions answer what the map would, the log tells the same
 * story, and a watch sees each revision once.
 * Method: fast-check makes the sequences and shortens what fails; its seed is in the failure.
 */
import { cpSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  openEngine,
  type Compare,
  type Engine,
  type Op,
  type Span,
  type Transaction,
  type TxnOp,
} from '../../src/engine/index.ts';
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
  | { readonly type: 'transact'; readonly all: readonly Transaction[] }
  | {
      readonly type: 'look back';
      readonly span: Span;
      readonly back: number;
      readonly after: string | undefined;
      readonly limit: number | undefined;
    }
  | { readonly type: 'compact'; readonly keep: number }
  | { readonly type: 'restart' }
  /** What lies on the disk is opened elsewhere, without the close. */
  | { readonly type: 'crash' };

const key = fc.constantFrom('a', 'a/b', 'a/b/c', 'b', 'c/1', 'c/2', 'c0');
const value = fc.uint8Array({ maxLength: 40 });
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), key, value }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
);
const bound = fc.oneof(key, fc.constantFrom('', 'a/', 'a/b\0', 'c', 'd'));
const span: fc.Arbitrary<Span> = fc.oneof(
  fc.record({ key }),
  fc.record({ prefix: fc.constantFrom('', 'a', 'a/b', 'c') }),
  fc
    .record({ from: bound, before: fc.option(bound, { nil: undefined }) })
    .filter(({ before }) => before !== ''),
);
const flag = fc.boolean();
const txnOp: fc.Arbitrary<TxnOp> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key, value, previous: flag }),
  fc.tuple(span, flag).map(([of, previous]): TxnOp => ({ type: 'delete', ...of, previous })),
  fc
    .tuple(span, fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }))
    .map(([of, limit]): TxnOp => ({ type: 'get', ...of, limit })),
);
const operator = fc.constantFrom('=', '!=', '<', '>');
const target = fc.constantFrom('version', 'createRevision', 'modRevision');
const compareArbitrary: fc.Arbitrary<Compare> = fc.oneof(
  fc.tuple(span, target, operator, fc.nat(12)).map(([of, what, how, number]): Compare => {
    return { ...of, target: what, operator: how, value: number };
  }),
  fc
    .tuple(span, operator, value)
    .map(([of, how, than]): Compare => ({ ...of, target: 'value', operator: how, value: than })),
);
const branch = fc.array(txnOp, { maxLength: 5 });
const transaction: fc.Arbitrary<Transaction> = fc.record({
  compares: fc.array(compareArbitrary, { maxLength: 2 }),
  then: branch,
  else: branch,
});
const differentKeys = { maxLength: 5, selector: (one: Op) => one.key };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('txn' as const), ops: fc.uniqueArray(op, differentKeys) }),
  fc.record({
    type: fc.constant('swap' as const),
    key,
    value,
    off: fc.integer({ min: 0, max: 1 }),
  }),
  // Long ones are split: the second half is applied while the first one is committed.
  fc.record({ type: fc.constant('burst' as const), ops: fc.array(op, { maxLength: 80 }) }),
  fc.record({
    type: fc.constant('transact' as const),
    all: fc.array(transaction, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('look back' as const),
    span,
    back: fc.nat(12),
    after: fc.option(key, { nil: undefined }),
    limit: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  }),
  fc.record({ type: fc.constant('compact' as const), keep: fc.nat(5) }),
  fc.constantFrom({ type: 'restart' as const }, { type: 'crash' as const }),
);

describe.each(['sqlite', 'lmdb', 'memory'] as const)('%s', (backend) => {
  test('any sequence of calls, with restarts, gives what the model gives', async () => {
    const folder = tempDir('model');
    let stores = 0;
    // What is on the heap is gone with a restart: for memory it is left out.
    const steps = backend === 'memory' ? step.filter((one) => !isEnd(one)) : step;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: STEPS_MAX }), async (sequence) => {
        stores += 1;
        let store = { backend, path: path.join(folder, `${stores}`) };
        const model = new Model();
        let engine = await openEngine(store);
        const watched = new WatchLog();
        const watchedFully = new WatchLog(true);
        const logs = [watched, watchedFully];
        for (const log of logs) log.follow(engine);
        try {
          for (const next of sequence) {
            if (isEnd(next)) {
              for (const log of logs) await log.reached(model.revision);
              if (next.type === 'crash') {
                stores += 1;
                const left = path.join(folder, `${stores}`);
                cpSync(store.path, left, { recursive: true });
                store = { backend, path: left };
              }
              await engine.close();
              engine = await openEngine(store);
              for (const log of logs) log.follow(engine);
            } else await act(engine, model, next);
            await compare(engine, model);
          }
          for (const log of logs) await log.reached(model.revision);
          expect(watched.sets).toEqual(model.plainHistory());
          expect(watchedFully.sets).toEqual(model.history);
        } finally {
          await engine.close();
        }
      }),
      { numRuns: RUNS },
    );
  });
});

type End = Extract<Step, { type: 'restart' | 'crash' }>;

function isEnd(one: Step): one is End {
  return one.type === 'restart' || one.type === 'crash';
}

async function act(engine: Engine, model: Model, step: Exclude<Step, End>) {
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
    case 'transact':
      await transactAll(engine, model, step.all);
      return;
    case 'look back':
      await lookBack(engine, model, step);
      return;
    case 'compact': {
      const revision = Math.max(0, model.revision - step.keep);
      await engine.compact(revision);
      model.compacted = Math.max(model.compacted, revision);
    }
  }
}

/** All at once: later ones stand on earlier ones that are not durable yet. */
async function transactAll(
  engine: Engine,
  model: Model,
  all: readonly Transaction[],
): Promise<void> {
  const expected = all.map((one) => model.transact(one) ?? 'InvalidArgument');
  const answers = all.map((one) =>
    engine.transact(one).catch((error: unknown) => (error as { code: string }).code),
  );
  expect(await Promise.all(answers)).toEqual(expected);
}

async function lookBack(
  engine: Engine,
  model: Model,
  { span: of, back, after, limit }: Step & { type: 'look back' },
): Promise<void> {
  const revision = Math.max(0, model.revision - back);
  const asked = engine.list(of, { revision, after, limit });
  if (revision < model.compacted) {
    await expect(asked).rejects.toMatchObject({ code: 'Compacted' });
    return;
  }
  const state = model.stateAt(revision);
  const kvs = model.sorted(of, state).filter((kv) => after === undefined || kv.key > after);
  const most = limit ?? Infinity;
  expect(await asked).toEqual({ kvs: kvs.slice(0, most), revision, more: kvs.length > most });
  for (const one of ['a', 'a/b', 'c/1']) {
    expect(await engine.get(one, { revision })).toEqual(state.get(one));
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
    model.plainHistory().slice(model.compacted),
  );
}
