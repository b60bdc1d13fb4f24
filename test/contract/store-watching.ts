/** The Store contract's cases of what comes by itself: watches, signals, closing. */
import { expect, test } from 'vitest';
import { bytes, codeOf } from './engine-case.ts';
import { changesUntil, fill, next, text, told, type Suite } from './store-case.ts';
import type { Store } from '../../src/engine/index.ts';

export function watchingKeys({ using, supports }: Suite): void {
  const watchOf = (store: Store, key: string) => store.watch(key)[Symbol.asyncIterator]();

  test(
    'first how it is, then each change, deletes too',
    using(async (store) => {
      await fill(store, ['k', 'k/below', 'k2']);
      const watch = watchOf(store, '/k');
      expect(await next(watch)).toEqual({ type: 'put', entry: await store.get('k') });
      await store.put('k/below', bytes('x'));
      await store.put('k2', bytes('x'));
      await store.put('k', bytes('2'));
      expect(told(await next(watch))).toBe('put k=2');
      await store.delete('k');
      expect(told(await next(watch))).toBe('delete k');
      const made = await store.atomicPut('k', bytes('3'), null);
      expect(await next(watch)).toEqual({ type: 'put', entry: made });
      await watch.return?.();
    }),
  );
  test(
    'a missing key is told at once, and seen when it comes',
    using(async (store) => {
      const watch = watchOf(store, 'deep/down/k');
      expect(told(await next(watch))).toBe('delete deep/down/k');
      await store.put('deep/down/k', bytes('1'));
      expect(told(await next(watch))).toBe('put deep/down/k=1');
      await watch.return?.();
    }),
  );
  test(
    'a write that repeats the value raises an event',
    using(async (store) => {
      await store.put('k', bytes('1'));
      const watch = watchOf(store, 'k');
      const first = await next(watch);
      await store.put('k', bytes('1'));
      const second = await next(watch);
      expect([told(first), told(second)]).toEqual(['put k=1', 'put k=1']);
      expect(second).not.toEqual(first);
      await watch.return?.();
    }),
  );
  test(
    'many changes while nobody reads: all, or the last',
    using(async (store) => {
      const watch = watchOf(store, 'k');
      await next(watch);
      for (let i = 1; i <= 600; i++) await store.put('k', bytes(`${i}`));
      const seen: string[] = [];
      while (seen.at(-1) !== 'put k=600') seen.push(told(await next(watch)));
      const all = Array.from({ length: 600 }, (_, i) => `put k=${i + 1}`);
      expect(seen).toEqual(
        supports.everyChange ? all : seen.filter((event) => all.includes(event)),
      );
      await watch.return?.();
    }),
  );
}

export function watchingTrees({ using }: Suite): void {
  test(
    'first all, then the changes under the prefix',
    using(async (store) => {
      await fill(store, ['t', 't/a', 't/b/c', 'tt']);
      const watch = store.watchTree('t/')[Symbol.asyncIterator]();
      expect(await next(watch)).toEqual({ type: 'all', entries: (await store.list('t')).entries });
      await store.put('t', bytes('x'));
      await store.put('tt', bytes('x'));
      await store.put('t/a', bytes('2'));
      await store.delete('t/b/c');
      expect(await changesUntil(watch, 2)).toEqual(['put t/a=2', 'delete t/b/c']);
      await store.deleteTree('t');
      expect(await changesUntil(watch, 1)).toEqual(['delete t/a']);
      await watch.return?.();
    }),
  );
  test(
    'a missing prefix is an empty list, and is seen when it comes',
    using(async (store) => {
      const watch = store.watchTree('nothing')[Symbol.asyncIterator]();
      expect(await next(watch)).toEqual({ type: 'all', entries: [] });
      await store.put('nothing/else', bytes('1'));
      expect(await changesUntil(watch, 1)).toEqual(['put nothing/else=1']);
      await watch.return?.();
    }),
  );
}

export function signals({ using, supports }: Suite): void {
  test(
    'an aborted signal: every call is refused, nothing is done',
    using(async (store) => {
      await store.put('a', bytes('1'));
      const { tag } = await store.get('a');
      const options = { signal: AbortSignal.abort() };
      const calls: (() => Promise<unknown>)[] = [
        () => store.get('a', options),
        () => store.exists('a', options),
        () => store.list('', options),
        () => store.put('b', bytes('1'), options),
        () => store.delete('a', options),
        () => store.deleteTree('a', options),
        () => store.atomicPut('a', bytes('2'), { tag }, options),
        () => store.atomicDelete('a', { tag }, options),
      ];
      if (supports.lock) calls.push(() => store.lock('a', options));
      for (const call of calls) expect(await codeOf(call)).toBe('Cancelled');
      expect((await store.list('')).entries.map(text)).toEqual(['1']);
    }),
  );
  test(
    'a deadline that passed is told as one',
    using(async (store) => {
      const signal = AbortSignal.timeout(0);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      expect(await codeOf(() => store.get('a', { signal }))).toBe('DeadlineExceeded');
    }),
  );
  test(
    'a watch ends quietly when its signal aborts, before and while it waits',
    using(async (store) => {
      const gone = store.watch('a', { signal: AbortSignal.abort() });
      expect(await gone[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
      const abort = new AbortController();
      const { signal } = abort;
      const key = store.watch('a', { signal })[Symbol.asyncIterator]();
      const tree = store.watchTree('', { signal })[Symbol.asyncIterator]();
      await Promise.all([next(key), next(tree)]);
      const ends = [key.next(), tree.next()];
      abort.abort();
      for (const end of await Promise.all(ends)) expect(end).toMatchObject({ done: true });
    }),
  );
  test(
    'closing ends a watch with the reason, and later calls are refused',
    using(async (store) => {
      await store.put('a', bytes('1'));
      const key = store.watch('a')[Symbol.asyncIterator]();
      const tree = store.watchTree('')[Symbol.asyncIterator]();
      await Promise.all([next(key), next(tree)]);
      const ends = [codeOf(() => key.next()), codeOf(() => tree.next())];
      await store.close();
      await store.close();
      expect(await Promise.all(ends)).toEqual(['Unavailable', 'Unavailable']);
      for (const call of [
        () => store.get('a'),
        () => store.put('a', bytes('2')),
        () => store.list(''),
      ]) {
        expect(await codeOf(call)).toBe('Unavailable');
      }
    }),
  );
}
