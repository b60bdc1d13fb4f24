/**
 * The Store contract as tests: what src/engine/store.ts promises and docs/stores.md answers, held
 * against any store. Where `supports` says no, the case is skipped with that reason, and the call has
 * to be refused with NotSupported; everything else runs on every store.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../src/engine/index.ts';
import type { Entry, Store, StoreSupports, TreeEvent } from '../../src/engine/index.ts';
import { bytes, codeOf } from './engine-case.ts';
import { fill, keysOf, next, text, type Suite, type Work } from './store-case.ts';
import { locks, timeToLive } from './store-holding.ts';
import { signals, watchingKeys, watchingTrees } from './store-watching.ts';
import { hex, run, step, StoreModel } from './store-model.ts';

/** Opens a store that holds nothing; the suite closes it. */
export type OpenEmptyStore = () => Promise<Store>;

const MODEL_RUNS = 25;
const MODEL_STEPS_MAX = 40;

export function storeContract(name: string, open: OpenEmptyStore, supports: StoreSupports): void {
  const using =
    (work: Work): (() => Promise<void>) =>
    async () => {
      const store = await open();
      try {
        await work(store);
      } finally {
        await store.close();
      }
    };
  const suite: Suite = { open, supports, using };
  describe(`store contract: ${name}`, () => {
    describe('keys and values', () => {
      keysAndValues(suite);
    });
    describe('listing', () => {
      listing(suite);
    });
    describe('trees', () => {
      trees(suite);
    });
    describe('compare-and-swap', () => {
      swaps(suite);
    });
    describe('watching a key', () => {
      watchingKeys(suite);
    });
    describe('watching a tree', () => {
      watchingTrees(suite);
    });
    describe.skipIf(!supports.ttl)('time to live, where the store has it', () => {
      timeToLive(suite);
    });
    describe.skipIf(!supports.lock)('locks, where the store has them', () => {
      locks(suite);
    });
    describe('signals and closing', () => {
      signals(suite);
    });
    describe('model', () => {
      againstTheModel(suite);
    });
  });
}

function keysAndValues({ using, supports }: Suite): void {
  test(
    'says what it supports, and refuses what it does not',
    using(async (store) => {
      expect(store.supports).toEqual(supports);
      const options = { ttlSeconds: 1 };
      const refused: (() => unknown)[] = [];
      if (!supports.ttl)
        refused.push(
          () => store.put('a', bytes(''), options),
          () => store.atomicPut('a', bytes(''), null, options),
        );
      if (!supports.lock) refused.push(() => store.lock('a'));
      for (const call of refused) expect(await codeOf(call)).toBe('NotSupported');
      expect(await store.exists('a')).toBe(false);
    }),
  );
  test(
    'put, get, exists, delete',
    using(async (store) => {
      for (const key of ['one', 'one/two', 'one/two/three']) {
        expect(await codeOf(() => store.get(key))).toBe('KeyNotFound');
        expect(await store.exists(key)).toBe(false);
        await store.put(key, bytes(key));
        expect(await store.get(key)).toMatchObject({ key, value: bytes(key) });
        expect(await store.exists(key)).toBe(true);
      }
      for (const key of ['one/two', 'one', 'one/two/three']) {
        await store.delete(key);
        expect(await codeOf(() => store.get(key))).toBe('KeyNotFound');
        expect(await store.exists(key)).toBe(false);
        expect(await codeOf(() => store.delete(key))).toBe('KeyNotFound');
      }
    }),
  );
  test(
    'a leading slash is the same key, and is never in what is read',
    using(async (store) => {
      await store.put('/a/b', bytes('1'));
      expect((await store.get('a/b')).key).toBe('a/b');
      expect((await store.get('/a/b')).key).toBe('a/b');
      expect(keysOf((await store.list('/a')).entries)).toEqual(['a/b']);
      await store.delete('/a/b');
      expect(await store.exists('a/b')).toBe(false);
    }),
  );
  test(
    'a key can have a value and keys below it',
    using(async (store) => {
      await fill(store, ['a', 'a/b']);
      expect(text(await store.get('a'))).toBe('a');
      expect(text(await store.get('a/b'))).toBe('a/b');
    }),
  );
  test(
    'values are any bytes: none, all',
    using(async (store) => {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      await store.put('all', all);
      await store.put('none', new Uint8Array(0));
      await store.put('one', Uint8Array.of(1));
      expect(hex((await store.get('all')).value)).toBe(hex(all));
      expect(hex((await store.get('none')).value)).toBe('<>');
      expect(hex((await store.get('one')).value)).toBe('<01>');
      expect(await store.exists('none')).toBe(true);
    }),
  );
  test(
    'keys and values at their limits, and one byte over',
    using(async (store) => {
      const longest = 'k'.repeat(KEY_BYTES_MAX);
      await store.put(longest, new Uint8Array(VALUE_BYTES_MAX).fill(7));
      expect((await store.get(longest)).value).toHaveLength(VALUE_BYTES_MAX);
      expect(await codeOf(() => store.put(`${longest}k`, bytes('')))).toBe('TooLarge');
      expect(await codeOf(() => store.get(`${longest}k`))).toBe('TooLarge');
      expect(await codeOf(() => store.put('a', new Uint8Array(VALUE_BYTES_MAX + 1)))).toBe(
        'TooLarge',
      );
      await store.put('ключ/🔑/a b', bytes('1'));
      expect(keysOf((await store.list('ключ')).entries)).toEqual(['ключ/🔑/a b']);
    }),
  );
  for (const key of ['', '/', '//a', 'a//b', 'a/', 'a\0b', 'a\ud800']) {
    test(
      `key ${JSON.stringify(key)} is refused by every call`,
      using(async (store) => {
        const calls: (() => unknown)[] = [
          () => store.get(key),
          () => store.exists(key),
          () => store.put(key, bytes('')),
          () => store.delete(key),
          () => store.atomicPut(key, bytes(''), null),
          () => next(store.watch(key)[Symbol.asyncIterator]()),
        ];
        for (const call of calls) expect(await codeOf(call)).toBe('InvalidArgument');
        expect((await store.list('')).entries).toEqual([]);
      }),
    );
  }
  test(
    'an inconsistent read of what nobody else writes is the same',
    using(async (store) => {
      await store.put('a', bytes('1'));
      expect(text(await store.get('a', { consistent: true }))).toBe('1');
      // It may be older, so only that it is answered can be said.
      expect(await codeOf(() => store.list('', { consistent: false }))).toBe('none');
      expect(typeof (await store.exists('a', { consistent: false }))).toBe('boolean');
    }),
  );
}

function listing({ using }: Suite): void {
  test(
    'a prefix is a path prefix, without the key of that name',
    using(async (store) => {
      await fill(store, ['foo', 'foo/x', 'foo/y/z', 'foobar', 'foobar/x', 'foo-1', 'foo0']);
      for (const prefix of ['foo', 'foo/', '/foo', '/foo/']) {
        expect(keysOf((await store.list(prefix)).entries)).toEqual(['foo/x', 'foo/y/z']);
      }
      expect((await store.list('')).entries).toHaveLength(7);
      expect((await store.list('/')).entries).toHaveLength(7);
    }),
  );
  test(
    'what is missing is KeyNotFound, a key with nothing below it is an empty list',
    using(async (store) => {
      await store.put('leaf', bytes(''));
      expect(await codeOf(() => store.list('nothing'))).toBe('KeyNotFound');
      expect(await codeOf(() => store.list('nothing', { recursive: false }))).toBe('KeyNotFound');
      expect(await store.list('leaf')).toEqual({ entries: [], more: false });
      await store.delete('leaf');
      expect(await store.list('')).toEqual({ entries: [], more: false });
    }),
  );
  test(
    'order is that of the bytes',
    using(async (store) => {
      await fill(store, ['b', 'a', 'ab', 'a/b', 'Z', '\u{1f511}', '\uffee', 'é']);
      const order = ['Z', 'a', 'a/b', 'ab', 'b', 'é', '\uffee', '\u{1f511}'];
      expect(keysOf((await store.list('')).entries)).toEqual(order);
    }),
  );
  test(
    'not recursive: direct children that have a value',
    using(async (store) => {
      const below = Array.from({ length: 300 }, (_, i) => `d/b/${i}/x`);
      await fill(store, ['d', 'd/a', 'd/b', 'd/b0', 'd/b/\u{10ffff}x', 'd/c/x', 'd/e', ...below]);
      const children = await store.list('d', { recursive: false });
      expect(keysOf(children.entries)).toEqual(['d/a', 'd/b', 'd/b0', 'd/e']);
      expect(keysOf((await store.list('', { recursive: false })).entries)).toEqual(['d']);
      expect(await store.list('d/c', { recursive: false })).toMatchObject({ more: false });
      expect(await store.list('d/b/1', { recursive: false })).toMatchObject({ more: false });
    }),
  );
  test(
    'paging meets every key once',
    using(async (store) => {
      const all = Array.from({ length: 25 }, (_, i) => `p/${String(i).padStart(2, '0')}`);
      await fill(store, [...all, 'p/03/deep', 'q/1']);
      for (const recursive of [true, false]) {
        const seen: string[] = [];
        for (let after: string | undefined; ;) {
          const page = await store.list('p', { after, limit: 10, recursive });
          expect(page.entries.length).toBeLessThanOrEqual(10);
          seen.push(...keysOf(page.entries));
          after = seen.at(-1);
          if (!page.more) break;
        }
        expect(seen.filter((key) => key !== 'p/03/deep')).toEqual(all);
        expect(seen).toHaveLength(recursive ? 26 : 25);
      }
      expect(await store.list('p', { after: 'p/24' })).toEqual({ entries: [], more: false });
      expect(await codeOf(() => store.list('p', { limit: 0 }))).toBe('InvalidArgument');
      expect(await codeOf(() => store.list('p', { limit: 0, recursive: false }))).toBe(
        'InvalidArgument',
      );
    }),
  );
}

function trees({ using }: Suite): void {
  test(
    'deleteTree takes the key and all below it, nothing beside it',
    using(async (store) => {
      await fill(store, ['t', 't/a', 't/a/b', 't0', 'tt/a', 's']);
      await store.deleteTree('/t/');
      expect(keysOf((await store.list('')).entries)).toEqual(['s', 't0', 'tt/a']);
      await store.deleteTree('s');
      await store.deleteTree('tt');
      expect(keysOf((await store.list('')).entries)).toEqual(['t0']);
    }),
  );
  test(
    'deleteTree of what is missing is KeyNotFound, of all never',
    using(async (store) => {
      await store.put('ab', bytes(''));
      expect(await codeOf(() => store.deleteTree('a'))).toBe('KeyNotFound');
      await store.deleteTree('');
      await store.deleteTree('');
      expect((await store.list('')).entries).toEqual([]);
    }),
  );
  test(
    'deleteTree of a thousand keys',
    using(async (store) => {
      await fill(
        store,
        Array.from({ length: 1000 }, (_, i) => `t/${i}`),
      );
      await store.deleteTree('t');
      expect(await codeOf(() => store.list('t'))).toBe('KeyNotFound');
    }),
  );
}

function swaps({ using }: Suite): void {
  test(
    'create, change, delete',
    using(async (store) => {
      const first = await store.atomicPut('/a', bytes('1'), null);
      expect(first).toMatchObject({ key: 'a', value: bytes('1') });
      expect(await store.get('a')).toEqual(first);
      expect(await codeOf(() => store.atomicPut('a', bytes('2'), null))).toBe('KeyExists');
      const second = await store.atomicPut('a', bytes('2'), first);
      expect(await codeOf(() => store.atomicPut('a', bytes('3'), first))).toBe('KeyModified');
      expect(await codeOf(() => store.atomicDelete('a', first))).toBe('KeyModified');
      expect(text(await store.get('a'))).toBe('2');
      await store.atomicDelete('a', second);
      expect(await codeOf(() => store.atomicDelete('a', second))).toBe('KeyNotFound');
      expect(await codeOf(() => store.atomicPut('a', bytes('3'), second))).toBe('KeyModified');
      expect(await store.exists('a')).toBe(false);
    }),
  );
  test(
    'a put of the same value, and a key made again, are other writes',
    using(async (store) => {
      const first = await store.atomicPut('a', bytes('1'), null);
      await store.put('a', bytes('1'));
      expect(await codeOf(() => store.atomicPut('a', bytes('2'), first))).toBe('KeyModified');
      const third = await store.get('a');
      await store.delete('a');
      await store.put('a', bytes('1'));
      expect(await codeOf(() => store.atomicPut('a', bytes('2'), third))).toBe('KeyModified');
      expect(await codeOf(() => store.atomicDelete('a', first))).toBe('KeyModified');
    }),
  );
  test(
    'a forgotten previous is told, not taken for "create"',
    using(async (store) => {
      const forgotten = undefined as unknown as Entry;
      expect(await codeOf(() => store.atomicPut('a', bytes('1'), forgotten))).toBe(
        'PreviousNotSpecified',
      );
      expect(await codeOf(() => store.atomicDelete('a', forgotten))).toBe('PreviousNotSpecified');
      expect(await codeOf(() => store.atomicDelete('a', null as unknown as Entry))).toBe(
        'PreviousNotSpecified',
      );
      expect(await store.exists('a')).toBe(false);
    }),
  );
  test(
    'a tag that is none of this store never matches',
    using(async (store) => {
      const { tag } = await store.atomicPut('a', bytes('1'), null);
      for (const strange of ['', '0', 'x', `${tag}x`, `x${tag}`]) {
        expect(await codeOf(() => store.atomicPut('a', bytes('2'), { tag: strange }))).toBe(
          'KeyModified',
        );
        expect(await codeOf(() => store.atomicPut('new', bytes('2'), { tag: strange }))).toBe(
          'KeyModified',
        );
      }
    }),
  );
  test(
    'of many that create one wins, and increments lose none',
    using(async (store) => {
      const codes = await Promise.all(
        Array.from({ length: 20 }, () => codeOf(() => store.atomicPut('n', bytes('0'), null))),
      );
      expect(codes.filter((code) => code === 'none')).toHaveLength(1);
      expect(codes.filter((code) => code === 'KeyExists')).toHaveLength(19);
      const increment = async (): Promise<void> => {
        for (let done = false; !done;) {
          const now = await store.get('n');
          const code = await codeOf(() =>
            store.atomicPut('n', bytes(String(Number(text(now)) + 1)), now),
          );
          done = code === 'none';
        }
      };
      await Promise.all(Array.from({ length: 10 }, increment));
      expect(text(await store.get('n'))).toBe('10');
    }),
  );
}

function againstTheModel({ open }: Suite): void {
  test('any sequence of calls gives what a plain map gives, and a tree watch tells the same story', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: MODEL_STEPS_MAX }), async (steps) => {
        const store = await open();
        try {
          const stale = await store.atomicPut('a', bytes(''), null);
          await store.delete('a');
          const model = new StoreModel();
          const watch = store.watchTree('')[Symbol.asyncIterator]();
          await next(watch);
          for (const one of steps) expect(await run(store, one, stale)).toBe(model.apply(one));
          await store.put('z/end', bytes(''));
          expect(await replay(watch)).toEqual(new Map([...model.values, ['z/end', '<>']]));
        } finally {
          await store.close();
        }
      }),
      { numRuns: MODEL_RUNS },
    );
  });
}

/** What the changes leave, up to the last put. */
async function replay(watch: AsyncIterator<TreeEvent>): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  while (!values.has('z/end')) {
    const event = await next(watch);
    const changes = event.type === 'all' ? [] : event.changes;
    for (const change of changes) {
      if (change.type === 'put') values.set(change.entry.key, hex(change.entry.value));
      else values.delete(change.key);
    }
  }
  await watch.return?.();
  return values;
}
