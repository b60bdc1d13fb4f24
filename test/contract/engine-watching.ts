/** Watching: each change once and in order, from any revision, however slow the reader. */
import { expect, test } from 'vitest';
import { bytes, codeOf, neverAborted, take, type Using } from './engine-case.ts';

export function watching(using: Using): void {
  test(
    'history, then what comes, each once and in order',
    using(async (engine) => {
      await engine.put('a/1', bytes('1'));
      await engine.put('b/1', bytes('1'));
      const seen = take(engine.watch('a', { from: 1, signal: neverAborted() }), 4);
      await engine.txn(
        [],
        [
          { type: 'put', key: 'a/2', value: bytes('2') },
          { type: 'put', key: 'b/2', value: bytes('2') },
          { type: 'delete', key: 'a/1' },
        ],
      );
      await engine.put('ab', bytes('x'));
      await engine.put('a/3', bytes('1'));
      await engine.put('a/3', bytes('1'));
      expect(await seen).toEqual([
        '1: put a/1',
        '3: put a/2, delete a/1',
        '5: put a/3',
        '6: put a/3',
      ]);
    }),
  );
  test(
    'without `from` it begins with the next revision, also before the first read',
    using(async (engine) => {
      await engine.put('a/1', bytes('1'));
      const watch = engine.watch('', { signal: neverAborted() });
      await engine.put('a/2', bytes('1'));
      expect(await take(watch, 1)).toEqual(['2: put a/2']);
    }),
  );
  test(
    'a revision to come',
    using(async (engine) => {
      const seen = take(engine.watch('', { from: 3, signal: neverAborted() }), 1);
      for (const key of ['a', 'b', 'c', 'd']) await engine.put(key, bytes('1'));
      expect(await seen).toEqual(['3: put c']);
    }),
  );
  test(
    'a put carries its value and revisions, a delete its own',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      await engine.put('a', bytes('2'));
      await engine.delete('a');
      const sets = await engine.changes(1, 10);
      expect(sets[0]?.changes[0]).toEqual({
        type: 'put',
        kv: { key: 'a', value: bytes('2'), createRevision: 1, modRevision: 2, version: 2 },
      });
      expect(sets[1]?.changes[0]).toMatchObject({
        type: 'delete',
        kv: { key: 'a', modRevision: 3 },
      });
      expect(sets[1]?.changes[0]?.kv.value).toHaveLength(0);
    }),
  );
  test(
    'a slow reader misses nothing',
    using(async (engine) => {
      const seen: number[] = [];
      const reading = (async () => {
        for await (const set of engine.watch('k', { signal: neverAborted() })) {
          seen.push(set.revision);
          if (seen.length % 100 === 0) await engine.get('k/0');
          if (seen.length === 3000) break;
        }
      })();
      for (let i = 0; i < 3; i += 1) {
        await Promise.all(
          Array.from({ length: 1000 }, (_, n) => engine.put(`k/${n}`, new Uint8Array(500))),
        );
      }
      await reading;
      expect(seen).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
    }),
  );
  test(
    'one who sleeps through everything misses nothing',
    using(async (engine) => {
      const watch = engine.watch('', { signal: neverAborted() })[Symbol.asyncIterator]();
      const first = watch.next();
      for (let i = 0; i < 1500; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, n) => engine.put(`${n}`, bytes('1'))));
      }
      const seen = [(await first).value.revision];
      while (seen.length < 1500) seen.push((await watch.next()).value.revision);
      await watch.return?.();
      expect(seen).toEqual(Array.from({ length: 1500 }, (_, i) => i + 1));
    }),
  );
  test(
    'the signal ends it, also before it began',
    using(async (engine) => {
      const abort = new AbortController();
      const ended = take(engine.watch('', { signal: abort.signal }), 9);
      await engine.put('a', bytes('1'));
      await new Promise((resolve) => setTimeout(resolve, 10));
      abort.abort();
      expect(await ended).toEqual(['1: put a']);
      expect(await take(engine.watch('', { from: 1, signal: abort.signal }), 9)).toEqual([]);
    }),
  );
  test(
    'what is compacted says so',
    using(async (engine) => {
      for (const key of ['a', 'b', 'c']) await engine.put(key, bytes('1'));
      await engine.compact(2);
      expect(
        await codeOf(() => take(engine.watch('', { from: 2, signal: neverAborted() }), 1)),
      ).toBe('Compacted');
      expect(await take(engine.watch('', { from: 3, signal: neverAborted() }), 1)).toEqual([
        '3: put c',
      ]);
      expect(await codeOf(async () => engine.watch('', { from: 0, signal: neverAborted() }))).toBe(
        'InvalidArgument',
      );
    }),
  );
  test(
    'a watcher of quiet keys outlives a compaction',
    using(async (engine) => {
      const seen = take(engine.watch('quiet', { signal: neverAborted() }), 1);
      for (let i = 0; i < 20; i += 1) await engine.put('loud/1', bytes('1'));
      await engine.compact(20);
      await engine.put('quiet/1', bytes('1'));
      expect(await seen).toEqual(['21: put quiet/1']);
    }),
  );
}
