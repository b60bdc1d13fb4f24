/** The Store contract's cases of what ends with its holder: keys with a time to live, locks. */
import { expect, test } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { bytes, codeOf } from './engine-case.ts';
import { changesUntil, keysOf, next, type Suite } from './store-case.ts';
import type { Lock } from '../../src/engine/index.ts';

export function timeToLive({ using }: Suite): void {
  test(
    'the key ends, a watch sees it, not before its time',
    using(async (store) => {
      const sinceMs = performance.now();
      await store.put('t/a', bytes('1'), { ttlSeconds: 1 });
      await store.atomicPut('t/b', bytes('1'), null, { ttlSeconds: 1 });
      const watch = store.watchTree('t')[Symbol.asyncIterator]();
      expect(await next(watch)).toMatchObject({
        type: 'all',
        entries: [{ key: 't/a' }, { key: 't/b' }],
      });
      expect((await changesUntil(watch, 2)).toSorted()).toEqual(['delete t/a', 'delete t/b']);
      expect(performance.now() - sinceMs).toBeGreaterThan(1000);
      await watch.return?.();
    }),
  );
  test(
    'another write takes the time to live with it',
    using(async (store) => {
      const entry = await store.atomicPut('kept/a', bytes('1'), null, { ttlSeconds: 1 });
      await store.put('kept/b', bytes('1'), { ttlSeconds: 1 });
      await store.put('kept/c', bytes('1'), { ttlSeconds: 1 });
      await store.put('gone', bytes('1'), { ttlSeconds: 1 });
      await store.atomicPut('kept/a', bytes('2'), entry);
      await store.put('kept/b', bytes('2'));
      await store.put('kept/c', bytes('2'), { ttlSeconds: 600 });
      const watch = store.watch('gone')[Symbol.asyncIterator]();
      while ((await next(watch)).type !== 'delete');
      await watch.return?.();
      expect(keysOf((await store.list('')).entries)).toEqual(['kept/a', 'kept/b', 'kept/c']);
    }),
  );
  test(
    'a compare-and-swap that failed leaves the time to live as it was',
    using(async (store) => {
      await store.put('a', bytes('1'), { ttlSeconds: 1 });
      expect(await codeOf(() => store.atomicPut('a', bytes('2'), null, { ttlSeconds: 600 }))).toBe(
        'KeyExists',
      );
      const watch = store.watch('a')[Symbol.asyncIterator]();
      while ((await next(watch)).type !== 'delete');
      await watch.return?.();
    }),
  );
  test(
    'not a whole number from 1 is refused',
    using(async (store) => {
      for (const ttlSeconds of [0, -1, 0.5, Number.NaN]) {
        expect(await codeOf(() => store.put('a', bytes('1'), { ttlSeconds }))).toBe(
          'InvalidArgument',
        );
      }
      expect(await store.exists('a')).toBe(false);
    }),
  );
}

export function locks({ using }: Suite): void {
  test(
    'one at a time, first come first served, with tokens that rise',
    using(async (store) => {
      const first = await store.lock('l', { ttlSeconds: 5 });
      const got: Lock[] = [];
      const waiting = [1, 2, 3].map(async () => {
        const lock = await store.lock('l', { ttlSeconds: 5 });
        got.push(lock);
        return lock;
      });
      const others = await store.lock('m');
      expect(got).toEqual([]);
      await first.unlock();
      for (const turn of waiting) {
        const lock = await turn;
        expect(got.at(-1)).toBe(lock);
        expect(lock.lost.aborted).toBe(false);
        await lock.unlock();
      }
      const tokens = [first, ...got].map(({ token }) => token);
      expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
      expect(new Set(tokens).size).toBe(4);
      await others.unlock();
    }),
  );
  test(
    'waiting is given up when the signal aborts, and holds up nobody',
    using(async (store) => {
      const first = await store.lock('l');
      const abort = new AbortController();
      const given = codeOf(() => store.lock('l', { signal: abort.signal }));
      const third = store.lock('l');
      abort.abort();
      expect(await given).toBe('Cancelled');
      await first.unlock();
      await (await third).unlock();
    }),
  );
  test(
    'unlock again does nothing, not even to the next holder',
    using(async (store) => {
      const first = await store.lock('l');
      await first.unlock();
      const second = await store.lock('l');
      await first.unlock();
      expect(second.lost.aborted).toBe(false);
      await second.unlock();
    }),
  );
  test(
    'closing the store loses its locks',
    using(async (store) => {
      const lock = await store.lock('l');
      await store.close();
      expect(lock.lost.aborted).toBe(true);
      expect(lock.lost.reason).toMatchObject({ code: 'Unavailable' });
    }),
  );
  test(
    'its keys are under its own, and go with it',
    using(async (store) => {
      await store.put('other', bytes(''));
      const lock = await store.lock('/l', { value: bytes('me') });
      const held = (await store.list('l')).entries;
      expect(held.map(({ value }) => value)).toEqual([bytes('me')]);
      expect((await store.list('')).entries).toHaveLength(2);
      await lock.unlock();
      expect(keysOf((await store.list('')).entries)).toEqual(['other']);
    }),
  );
  test(
    'a lock taken away by force is told, with the reason',
    using(async (store) => {
      const lock = await store.lock('l');
      const told = new Promise((resolve) => lock.lost.addEventListener('abort', resolve));
      await store.deleteTree('l');
      await told;
      expect(lock.lost.reason).toBeInstanceOf(HoldfastError);
      await lock.unlock();
      await (await store.lock('l')).unlock();
    }),
  );
  test(
    'a name or a time to live that is none is refused',
    using(async (store) => {
      expect(await codeOf(() => store.lock(''))).toBe('InvalidArgument');
      expect(await codeOf(() => store.lock('l', { ttlSeconds: 0 }))).toBe('InvalidArgument');
      expect((await store.list('')).entries).toEqual([]);
    }),
  );
}
