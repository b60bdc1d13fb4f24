/** Transactions: compares, a branch that is done in order at one revision, and what it answers. */
import { describe, expect, test } from 'vitest';
import {
  TXN_OPS_MAX,
  TXN_RANGE_KEYS_MAX,
  VALUE_BYTES_MAX,
  type Compare,
  type Engine,
  type Op,
  type PutOp,
  type TxnOp,
} from '../../src/engine/index.ts';
import { bytes, codeOf, fill, keysOf, neverAborted, text, type Using } from './engine-case.ts';

export function transactions(using: Using): void {
  describe('compares', () => {
    compares(using);
  });
  describe('operations', () => {
    operations(using);
  });
  describe('what is refused', () => {
    refusals(using);
  });
}

const put = (key: string, value = key): PutOp => ({ type: 'put', key, value: bytes(value) });

async function holds(engine: Engine, ...all: readonly Compare[]): Promise<boolean> {
  return (await engine.transact({ compares: all })).succeeded;
}

function compares(using: Using): void {
  test(
    'then when all hold, else when one does not',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const compare: Compare = { key: 'a', target: 'value', operator: '=', value: bytes('1') };
      const swap = { compares: [compare], then: [put('a', '2')], else: [put('lost')] };
      expect(await engine.transact(swap)).toEqual({
        succeeded: true,
        revision: 2,
        results: [{ type: 'put' }],
      });
      expect(await engine.transact({ ...swap, compares: [compare, compare] })).toMatchObject({
        succeeded: false,
        revision: 3,
      });
      expect(keysOf((await engine.list('')).kvs)).toEqual(['a', 'lost']);
      expect(await engine.transact({})).toEqual({ succeeded: true, revision: 3, results: [] });
    }),
  );
  test(
    'version, createRevision, modRevision and lease, each with = != < >',
    using(async (engine) => {
      const lease = await engine.leases.grant(60);
      await engine.put('other', bytes(''));
      await engine.put('a', bytes('1'));
      await engine.put('a', bytes('2'), { lease });
      const is = { version: 2, createRevision: 2, modRevision: 3, lease } as const;
      for (const target of ['version', 'createRevision', 'modRevision', 'lease'] as const) {
        const of = (operator: Compare['operator'], value: number): Promise<boolean> =>
          holds(engine, { key: '/a', target, operator, value });
        const value = is[target];
        expect(await Promise.all([of('=', value), of('=', value + 1)])).toEqual([true, false]);
        expect(await Promise.all([of('!=', value), of('!=', 0)])).toEqual([false, true]);
        expect(await Promise.all([of('<', value), of('<', value + 1)])).toEqual([false, true]);
        expect(await Promise.all([of('>', value), of('>', value - 1)])).toEqual([false, true]);
      }
    }),
  );
  test(
    'values compare as bytes',
    using(async (engine) => {
      await engine.put('a', Uint8Array.of(1, 200));
      const of = (operator: Compare['operator'], ...value: number[]): Promise<boolean> =>
        holds(engine, { key: 'a', target: 'value', operator, value: Uint8Array.from(value) });
      expect(await Promise.all([of('=', 1, 200), of('=', 1), of('=')])).toEqual([
        true,
        false,
        false,
      ]);
      expect(await Promise.all([of('<', 1, 200, 0), of('<', 1, 199)])).toEqual([true, false]);
      expect(await Promise.all([of('>', 1), of('>', 2), of('!=', 2)])).toEqual([true, false, true]);
    }),
  );
  test(
    'what is not there has 0 for each number, and no value at all',
    using(async (engine) => {
      for (const span of [{ key: 'a' }, { prefix: 'a' }, { from: 'a', before: 'b' }]) {
        for (const target of ['version', 'createRevision', 'modRevision', 'lease'] as const) {
          expect(await holds(engine, { ...span, target, operator: '=', value: 0 })).toBe(true);
          expect(await holds(engine, { ...span, target, operator: '>', value: 0 })).toBe(false);
        }
        for (const operator of ['=', '!=', '<', '>'] as const) {
          const value = bytes('');
          expect(await holds(engine, { ...span, target: 'value', operator, value })).toBe(false);
        }
      }
    }),
  );
  test(
    'a span holds when each of its keys does',
    using(async (engine) => {
      await fill(engine, ['p/1', 'p/2', 'p/3', 'q']);
      await engine.put('p/2', bytes('again'));
      const once = { target: 'version', operator: '=', value: 1 } as const;
      expect(await holds(engine, { prefix: 'p', ...once })).toBe(false);
      expect(await holds(engine, { from: 'p/1', before: 'p/2', ...once })).toBe(true);
      expect(await holds(engine, { from: 'p/2\0', ...once })).toBe(true);
      expect(await holds(engine, { from: 'p/1', ...once })).toBe(false);
    }),
  );
  test(
    'what was asked for before it counts, durable or not',
    using(async (engine) => {
      const absent: Compare = { prefix: 'p', target: 'version', operator: '=', value: 0 };
      const [, first, , second] = await Promise.all([
        engine.put('q', bytes('')),
        engine.transact({ compares: [absent], then: [put('p/1')] }),
        engine.put('q', bytes('')),
        engine.transact({ compares: [absent], then: [put('p/2')] }),
      ]);
      expect([first.succeeded, second.succeeded]).toEqual([true, false]);
    }),
  );
}

function operations(using: Using): void {
  test(
    'each op sees those before it',
    using(async (engine) => {
      await fill(engine, ['p/1', 'p/3']);
      const { revision, results } = await engine.transact({
        then: [
          { type: 'get', prefix: 'p' },
          put('p/2'),
          { type: 'get', prefix: 'p' },
          { type: 'delete', key: 'p/3' },
          { type: 'get', from: 'p/2' },
          { type: 'get', key: 'p/3' },
          { type: 'get', key: 'p/2' },
        ],
      });
      const seen = results.map((one) => (one.type === 'get' ? keysOf(one.kvs) : one.type));
      expect(seen).toEqual([
        ['p/1', 'p/3'],
        'put',
        ['p/1', 'p/2', 'p/3'],
        'delete',
        ['p/2'],
        [],
        ['p/2'],
      ]);
      expect(results[6]).toEqual({
        type: 'get',
        kvs: [
          {
            key: 'p/2',
            value: bytes('p/2'),
            createRevision: revision,
            modRevision: revision,
            version: 1,
          },
        ],
        more: false,
      });
    }),
  );
  test(
    'all at one revision, in one change set',
    using(async (engine) => {
      await fill(engine, ['p/1', 'p/2', 'q', 'r']);
      const { revision } = await engine.transact({
        then: [put('z'), { type: 'delete', prefix: 'p' }, put('a'), { type: 'delete', key: 'q' }],
      });
      expect(revision).toBe(5);
      const [set] = await engine.changes(4, 10);
      expect(set!.changes.map(({ type, kv }) => [type, kv.key, kv.modRevision])).toEqual([
        ['put', 'z', 5],
        ['delete', 'p/1', 5],
        ['delete', 'p/2', 5],
        ['put', 'a', 5],
        ['delete', 'q', 5],
      ]);
      expect(await engine.stats()).toMatchObject({ revision: 5, keys: 3, logEntries: 5 });
    }),
  );
  test(
    'a delete counts, and answers what was there on request',
    using(async (engine) => {
      await fill(engine, ['a', 'p/1', 'p/2', 'p0']);
      const { results } = await engine.transact({
        then: [
          { type: 'delete', prefix: 'p', previous: true },
          { type: 'delete', key: 'a' },
          { type: 'delete', key: 'nothing', previous: true },
        ],
      });
      expect(results).toEqual([
        {
          type: 'delete',
          deleted: 2,
          previous: ['p/1', 'p/2'].map((key, i) => {
            const at = { createRevision: i + 2, modRevision: i + 2, version: 1 };
            return { key, value: bytes(key), ...at };
          }),
        },
        { type: 'delete', deleted: 1 },
        { type: 'delete', deleted: 0, previous: [] },
      ]);
      expect(keysOf((await engine.list('')).kvs)).toEqual(['p0']);
    }),
  );
  test(
    'a put answers what was there on request',
    using(async (engine) => {
      await engine.put('a', bytes('before'));
      const again = { ...put('a', 'after'), previous: true } as const;
      const fresh = { ...put('b'), previous: true } as const;
      const { results } = await engine.transact({ then: [again, fresh] });
      expect(results[0]).toMatchObject({ previous: { modRevision: 1, version: 1 } });
      expect(results[0]?.type === 'put' && text(results[0].previous)).toBe('before');
      expect(results[1]).toEqual({ type: 'put' });
    }),
  );
  test(
    'a limit cuts, and says so',
    using(async (engine) => {
      await fill(engine, ['p/1', 'p/2', 'p/3']);
      const get = (limit: number): TxnOp => ({ type: 'get', prefix: 'p', limit });
      const { results } = await engine.transact({
        then: [get(2), get(3), { type: 'delete', key: 'p/1' }, get(2)],
      });
      expect(results.map((one) => one.type === 'get' && [keysOf(one.kvs), one.more])).toEqual([
        [['p/1', 'p/2'], true],
        [['p/1', 'p/2', 'p/3'], false],
        false,
        [['p/2', 'p/3'], false],
      ]);
      expect(await codeOf(() => engine.transact({ then: [get(0)] }))).toBe('InvalidArgument');
    }),
  );
  test(
    'one that changes nothing takes no revision',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const nothing: TxnOp[] = [
        { type: 'get', key: 'a' },
        { type: 'delete', prefix: 'a' },
      ];
      expect(await engine.transact({ then: nothing })).toMatchObject({ revision: 1 });
      expect(engine.revision).toBe(1);
    }),
  );
  test(
    'spans meet what was asked for before, durable or not',
    using(async (engine) => {
      await fill(engine, ['p/a', 'p/z']);
      const names = Array.from({ length: 700 }, (_, i) => `p/${String(i).padStart(3, '0')}`);
      const puts = names.map((key) => engine.put(key, bytes(key)));
      const drops = names.slice(0, 100).map((key) => engine.delete(key));
      const dropped = engine.transact({ then: [{ type: 'delete', prefix: 'p', previous: true }] });
      const last = engine.put('p/500', bytes('new'));
      await Promise.all([...puts, ...drops]);
      const [result] = (await dropped).results;
      const previous = result?.type === 'delete' ? result.previous! : [];
      expect(keysOf(previous)).toEqual([...names.slice(100), 'p/a', 'p/z']);
      expect(await last).toBe((await dropped).revision + 1);
      expect(keysOf((await engine.list('')).kvs)).toEqual(['p/500']);
      expect(await engine.get('p/500')).toMatchObject({ version: 1 });
    }),
  );
  test(
    'what it answers is the caller’s',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const watch = engine.watch('', { from: 2, previousValues: true, signal: neverAborted() });
      const seen = watch[Symbol.asyncIterator]();
      const item = seen.next();
      const swapped = engine.transact({
        then: [
          { ...put('a', '2'), previous: true },
          { type: 'get', key: 'a' },
        ],
      });
      const { results, revision } = await swapped;
      const [first, second] = results;
      if (first?.type === 'put') first.previous!.value.fill(0);
      if (second?.type === 'get') second.kvs[0]!.value.fill(0);
      const change = (await item).value.changes[0];
      expect([text(change.previous), text(change.kv)]).toEqual(['1', '2']);
      await seen.return?.();
      await engine.put('a', bytes('3'));
      expect(text(await engine.get('a', { revision: 1 }))).toBe('1');
      expect(text(await engine.get('a', { revision }))).toBe('2');
    }),
  );
}

function refusals(using: Using): void {
  test.each<[string, TxnOp[], string]>([
    ['a key put twice', [put('a'), put('/a')], 'InvalidArgument'],
    ['a key put and deleted', [put('a'), { type: 'delete', key: 'a' }], 'InvalidArgument'],
    ['a put inside a deleted prefix', [put('a/b/c'), { type: 'delete', prefix: 'a' }], 'Invalid'],
    ['a put after all was deleted', [{ type: 'delete', prefix: '' }, put('a')], 'Invalid'],
    ['a put inside a deleted range', [{ type: 'delete', from: 'a' }, put('b')], 'Invalid'],
    ['a lease that is none', [put('a'), { ...put('b'), lease: 77 }], 'NotFound'],
    ['a key that is none', [put('a'), put('b//c')], 'InvalidArgument'],
    ['a large value', [put('a'), put('b', 'x'.repeat(VALUE_BYTES_MAX + 1))], 'TooLarge'],
    ['too many ops', Array.from({ length: TXN_OPS_MAX + 1 }, (_, i) => put(`${i}`)), 'TooLarge'],
  ])('%s: nothing is changed, in either branch', (_what, ops, code) =>
    using(async (engine) => {
      expect(await codeOf(() => engine.transact({ then: ops }))).toContain(code);
      const never: Compare = { key: 'x', target: 'version', operator: '>', value: 0 };
      const otherwise = { compares: [never], else: ops };
      expect(await codeOf(() => engine.transact(otherwise))).toContain(code);
      expect(engine.revision).toBe(0);
      expect((await engine.list('')).kvs).toEqual([]);
    })(),
  );
  test(
    'one that is refused halfway leaves nothing to those that share its commit',
    using(async (engine) => {
      await fill(engine, ['p/1', 'p/2']);
      const halfway: TxnOp[] = [
        put('a'),
        { type: 'delete', prefix: 'p' },
        { ...put('b'), lease: 77 },
      ];
      const [before, refused, after] = await Promise.allSettled([
        engine.put('x', bytes('')),
        engine.transact({ then: halfway }),
        engine.transact({ then: [put('y'), { type: 'get', prefix: '' }] }),
      ]);
      expect([before.status, refused.status]).toEqual(['fulfilled', 'rejected']);
      expect(after).toMatchObject({
        value: { revision: 4, results: [{}, { kvs: { length: 4 } }] },
      });
      expect(keysOf((await engine.list('')).kvs)).toEqual(['p/1', 'p/2', 'x', 'y']);
      expect(await engine.stats()).toMatchObject({ revision: 4, keys: 4 });
    }),
  );
  test(
    'deleting what overlaps is no contradiction',
    using(async (engine) => {
      await fill(engine, ['a/1', 'a/2']);
      const { results } = await engine.transact({
        then: [
          { type: 'delete', key: 'a/1' },
          { type: 'delete', prefix: 'a' },
          { type: 'delete', from: 'a', before: 'b' },
          put('b'),
        ],
      });
      expect(results.map((one) => one.type === 'delete' && one.deleted)).toEqual([1, 1, 0, false]);
    }),
  );
  test(
    'a compare that is none',
    using(async (engine) => {
      const compare = (more: object): Promise<string> => {
        const one = { key: 'a', target: 'version', operator: '=', value: 0, ...more };
        return codeOf(() => engine.transact({ compares: [one as Compare] }));
      };
      expect(await compare({})).toBe('none');
      expect(await compare({ operator: '==' })).toBe('InvalidArgument');
      expect(await compare({ value: -1 })).toBe('InvalidArgument');
      expect(await compare({ value: 1.5 })).toBe('InvalidArgument');
      expect(await compare({ target: 'value', value: 1 })).toBe('InvalidArgument');
      expect(await compare({ key: '' })).toBe('InvalidArgument');
      expect(await compare({ prefix: 'b' })).toBe('InvalidArgument');
      const many = Array.from({ length: TXN_OPS_MAX + 1 }, (): Compare => {
        return { key: 'a', target: 'version', operator: '=', value: 0 };
      });
      expect(await codeOf(() => engine.transact({ compares: many }))).toBe('TooLarge');
    }),
  );
  test(
    'a span of more keys than it may meet',
    using(async (engine) => {
      const ops = Array.from({ length: TXN_RANGE_KEYS_MAX }, (_, i): Op => {
        return { type: 'put', key: `p/${i}`, value: bytes('1') };
      });
      await engine.txn([], ops);
      await engine.put('p/one-more', bytes('1'));
      const all: TxnOp = { type: 'delete', prefix: 'p' };
      const refused = engine.transact({ then: [put('a'), all] });
      await expect(refused).rejects.toThrow(`meet more than ${TXN_RANGE_KEYS_MAX} keys`);
      await expect(refused).rejects.toMatchObject({ code: 'TooLarge' });
      const compare = { prefix: 'p', target: 'version', operator: '>', value: 0 } as const;
      expect(await codeOf(() => engine.transact({ compares: [compare] }))).toBe('TooLarge');
      expect(await engine.stats()).toMatchObject({ revision: 2, keys: TXN_RANGE_KEYS_MAX + 1 });
      expect(await engine.get('a')).toBeUndefined();
      const rest = await engine.transact({
        then: [{ type: 'delete', key: 'p/one-more' }, all],
      });
      expect(rest.results[1]).toEqual({ type: 'delete', deleted: TXN_RANGE_KEYS_MAX });
      expect((await engine.list('')).kvs).toEqual([]);
    }),
  );
  test(
    'answers larger than it may read',
    using(async (engine) => {
      const value = new Uint8Array(VALUE_BYTES_MAX);
      for (let i = 0; i < 17; i += 1) await engine.put(`p/${i}`, value);
      const get: TxnOp = { type: 'get', prefix: 'p' };
      const one: TxnOp = { type: 'get', key: 'p/1' };
      expect(await codeOf(() => engine.transact({ then: [put('a'), get] }))).toBe('TooLarge');
      const often = Array.from({ length: 17 }, () => one);
      expect(await codeOf(() => engine.transact({ then: [put('a'), ...often] }))).toBe('TooLarge');
      expect(engine.revision).toBe(17);
      expect(await codeOf(() => engine.transact({ then: often.slice(1) }))).toBe('none');
    }),
  );
}
