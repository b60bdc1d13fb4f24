/** Listing: prefixes, order, pages. */
import { expect, test } from 'vitest';
import { codeOf, fill, type Using } from './engine-case.ts';
import type { Engine } from '../../src/engine/index.ts';

export function listing(using: Using): void {
  const keys = async (engine: Engine, prefix: string): Promise<string[]> =>
    (await engine.list(prefix)).kvs.map((kv) => kv.key);

  test(
    'a prefix is a path prefix',
    using(async (engine) => {
      await fill(engine, ['foo', 'foo/x', 'foo/y/z', 'foobar', 'foo-1', 'foo0', 'f']);
      expect(await keys(engine, 'foo')).toEqual(['foo/x', 'foo/y/z']);
      expect(await keys(engine, 'foo/')).toEqual(['foo/x', 'foo/y/z']);
      expect(await keys(engine, 'nothing')).toEqual([]);
      expect(await keys(engine, '')).toHaveLength(7);
    }),
  );
  test(
    'order is that of the bytes',
    using(async (engine) => {
      await fill(engine, ['b', 'a', 'ab', 'a/b', 'Z', '\u{1f511}', '\uffee', 'é']);
      expect(await keys(engine, '')).toEqual([
        'Z',
        'a',
        'a/b',
        'ab',
        'b',
        'é',
        '\uffee',
        '\u{1f511}',
      ]);
    }),
  );
  test(
    'paging meets every key once',
    using(async (engine) => {
      const all = Array.from({ length: 25 }, (_, i) => `p/${String(i).padStart(2, '0')}`);
      await fill(engine, [...all, 'q/1']);
      const seen: string[] = [];
      for (let after: string | undefined; ;) {
        const page = await engine.list('p', { after, limit: 10 });
        seen.push(...page.kvs.map((kv) => kv.key));
        after = seen.at(-1);
        expect(page.revision).toBe(26);
        if (!page.more) break;
      }
      expect(seen).toEqual(all);
      expect((await engine.list('p', { limit: 25 })).more).toBe(false);
      expect((await engine.list('p', { after: 'a' })).kvs).toHaveLength(25);
      expect((await engine.list('p', { after: 'z' })).kvs).toHaveLength(0);
      expect(await codeOf(() => engine.list('p', { limit: 0 }))).toBe('InvalidArgument');
    }),
  );
  test(
    'counts',
    using(async (engine) => {
      await fill(engine, ['a', 'b', 'c']);
      await engine.delete('b');
      expect(await engine.stats()).toMatchObject({
        keys: 2,
        revision: 4,
        logEntries: 4,
        compactedRevision: 0,
      });
    }),
  );
}
