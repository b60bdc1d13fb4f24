/** Spans: one key, a path prefix, a range of bytes; the same for reads, transactions and watches. */
import { expect, test } from 'vitest';
import { KEY_BYTES_MAX, type Span } from '../../src/engine/index.ts';
import { codeOf, fill, keysOf, neverAborted, take, type Using } from './engine-case.ts';

const KEYS = ['a', 'a-1', 'a/b', 'a/b/c', 'a/c', 'ab', 'b', '\uffee', '\u{1f511}'];

const SPANS: [string, string | Span, string[]][] = [
  ['a prefix as text', 'a', ['a/b', 'a/b/c', 'a/c']],
  ['a prefix', { prefix: '/a/' }, ['a/b', 'a/b/c', 'a/c']],
  ['all of them', { prefix: '' }, KEYS],
  ['a key', { key: '/a/b' }, ['a/b']],
  ['a key that is not there', { key: 'a/x' }, []],
  ['a range', { from: 'a-1', before: 'a/c' }, ['a-1', 'a/b', 'a/b/c']],
  ['a range of leading slashes', { from: '/a-1', before: '/a/c' }, ['a-1', 'a/b', 'a/b/c']],
  ['from a key on', { from: 'ab' }, ['ab', 'b', '\uffee', '\u{1f511}']],
  ['from behind a key', { from: 'ab\0' }, ['b', '\uffee', '\u{1f511}']],
  ['from the start', { from: '', before: 'a/' }, ['a', 'a-1']],
  ['the order of bytes, not of UTF-16', { from: '\uffee', before: '\u{1f511}' }, ['\uffee']],
  ['an empty range', { from: 'b', before: 'b' }, []],
  ['a range the wrong way round', { from: 'b', before: 'a' }, []],
];

export function spans(using: Using): void {
  test.each(SPANS)('%s', (_what, span, keys) =>
    using(async (engine) => {
      await fill(engine, KEYS);
      const listed = await engine.list(span);
      expect(keysOf(listed.kvs)).toEqual(keys);
      expect(keysOf((await engine.list(span, { revision: KEYS.length })).kvs)).toEqual(keys);
      expect((await engine.list(span, { revision: 0 })).kvs).toEqual([]);

      const history = engine.watch(span, { from: 1, signal: neverAborted() });
      // Behind all that there is comes the answer to this.
      history.requestProgress();
      const puts = (await take(history, keys.length + 1)).slice(0, -1);
      expect(puts.map((set) => set.replace(/^\d+: put /, ''))).toEqual(keys);
      const where = typeof span === 'string' ? { prefix: span } : span;
      const { results } = await engine.transact({
        then: [
          { type: 'get', ...where },
          { type: 'delete', ...where },
        ],
      });
      expect(results[0]).toEqual({ type: 'get', kvs: listed.kvs, more: false });
      expect(results[1]).toEqual({ type: 'delete', deleted: keys.length });
      const left = keysOf((await engine.list('')).kvs);
      expect(left).toEqual(KEYS.filter((key) => !keys.includes(key)));
    })(),
  );
  test(
    'what a watch sees is what a list would give',
    using(async (engine) => {
      const seen = SPANS.map(([, span]) => engine.watch(span, { signal: neverAborted() }));
      const running = seen.map(async (watch, i) => {
        const wanted = SPANS[i]![2].length;
        return wanted === 0 ? [] : take(watch, wanted);
      });
      for (const key of KEYS) await engine.put(key, new Uint8Array(0));
      const told = (await Promise.all(running)).map((sets) =>
        sets.map((set) => set.replace(/^\d+: put /, '')),
      );
      expect(told).toEqual(SPANS.map(([, , keys]) => keys));
    }),
  );
  test.each<[string, object]>([
    ['none', {}],
    ['only an end', { before: 'b' }],
    ['two', { key: 'a', prefix: 'a' }],
    ['an empty end', { from: 'a', before: '' }],
    ['no key', { key: 'a//b' }],
    ['no prefix', { prefix: 'a//b' }],
    ['no text', { from: 'a\ud800' }],
  ])('refused: %s', (_what, span) =>
    using(async (engine) => {
      expect(await codeOf(() => engine.list(span as Span))).toBe('InvalidArgument');
    })(),
  );
  test(
    'bounds at their limits',
    using(async (engine) => {
      const longest = 'k'.repeat(KEY_BYTES_MAX);
      await fill(engine, [longest]);
      expect((await engine.list({ from: longest })).kvs).toHaveLength(1);
      expect((await engine.list({ from: `${longest}\0` })).kvs).toEqual([]);
      expect(await codeOf(() => engine.list({ from: `${longest}\0\0` }))).toBe('TooLarge');
    }),
  );
}
