/**
 * The engine's contract as tests: what src/engine/engine.ts promises, held against any implementation.
 * Every backend runs the same suite; none may skip a case.
 */
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { KEY_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX } from '../../src/engine/index.ts';
import type { ChangeSet, Engine, KeyValue, Op } from '../../src/engine/index.ts';

/** Opens a new, empty engine; the suite closes it. */
export type OpenEmpty = () => Promise<Engine>;

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (kv: KeyValue | undefined): string | undefined =>
  kv && new TextDecoder().decode(kv.value);

export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return thrown.code;
    throw thrown;
  }
  return 'none';
}

/** The next `count` change sets as `revision:type key`, then the watch is ended. */
export async function take(watch: AsyncIterable<ChangeSet>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const set of watch) {
    seen.push(describeSet(set));
    if (seen.length === count) break;
  }
  return seen;
}

const describeSet = ({ revision, changes }: ChangeSet): string =>
  `${revision}: ${changes.map(({ type, kv }) => `${type} ${kv.key}`).join(', ')}`;

export function engineContract(name: string, open: OpenEmpty): void {
  const using = (work: (engine: Engine) => Promise<void>) => async (): Promise<void> => {
    const engine = await open();
    try {
      await work(engine);
    } finally {
      await engine.close();
    }
  };
  describe(`engine contract: ${name}`, () => {
    describe('keys and values', () => {
      keysAndValues(using);
    });
    describe('revisions and conditions', () => {
      revisions(using);
    });
    describe('listing', () => {
      listing(using);
    });
    describe('watching', () => {
      watching(using);
    });
    describe('the change log', () => {
      changeLog(using);
    });
    describe('closing', () => {
      closing(open);
    });
  });
}

type Using = (work: (engine: Engine) => Promise<void>) => () => Promise<void>;

function keysAndValues(using: Using): void {
  test(
    'put, get, delete',
    using(async (engine) => {
      expect(await engine.get('a')).toBeUndefined();
      expect(await engine.put('a', bytes('1'))).toBe(1);
      expect(await engine.put('a', bytes('2'))).toBe(2);
      const kv = await engine.get('a');
      expect(kv).toEqual({
        key: 'a',
        value: bytes('2'),
        createRevision: 1,
        modRevision: 2,
        version: 2,
      });
      expect(await engine.delete('a')).toBe(3);
      expect(await engine.get('a')).toBeUndefined();
      expect(await engine.delete('a')).toBeUndefined();
      expect(engine.revision).toBe(3);
    }),
  );
  test(
    'a key created again starts anew',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      await engine.delete('a');
      await engine.put('a', bytes('2'));
      expect(await engine.get('a')).toMatchObject({
        createRevision: 3,
        modRevision: 3,
        version: 1,
      });
    }),
  );
  test(
    'a leading slash is the same key',
    using(async (engine) => {
      await engine.put('/a/b', bytes('1'));
      expect(text(await engine.get('a/b'))).toBe('1');
      expect((await engine.list('/a/')).kvs.map((kv) => kv.key)).toEqual(['a/b']);
    }),
  );
  test(
    'values are any bytes: none, all, the largest',
    using(async (engine) => {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const large = new Uint8Array(VALUE_BYTES_MAX).fill(7);
      await Promise.all([
        engine.put('none', new Uint8Array(0)),
        engine.put('all', all),
        engine.put('large', large),
      ]);
      expect((await engine.get('none'))?.value).toEqual(new Uint8Array(0));
      expect((await engine.get('all'))?.value).toEqual(all);
      expect(Buffer.compare((await engine.get('large'))!.value, large)).toBe(0);
      expect(await codeOf(() => engine.put('x', new Uint8Array(VALUE_BYTES_MAX + 1)))).toBe(
        'TooLarge',
      );
    }),
  );
  test(
    'the caller keeps its buffer, and owns what it reads',
    using(async (engine) => {
      const mine = bytes('before');
      const written = engine.put('a', mine);
      mine.fill(0);
      await written;
      const read = await engine.get('a');
      expect(text(read)).toBe('before');
      read!.value.fill(0);
      expect(text(await engine.get('a'))).toBe('before');
    }),
  );
  test(
    'keys at their limits',
    using(async (engine) => {
      const longest = 'k'.repeat(KEY_BYTES_MAX);
      await engine.put(longest, bytes('1'));
      expect(text(await engine.get(longest))).toBe('1');
      await engine.put('ключ/🔑/a b', bytes('2'));
      expect((await engine.list('ключ')).kvs.map((kv) => kv.key)).toEqual(['ключ/🔑/a b']);
    }),
  );
  test.each([
    ['', 'InvalidArgument'],
    ['/', 'InvalidArgument'],
    ['//a', 'InvalidArgument'],
    ['a//b', 'InvalidArgument'],
    ['a/', 'InvalidArgument'],
    ['a\0b', 'InvalidArgument'],
    ['a\ud800', 'InvalidArgument'],
    ['k'.repeat(KEY_BYTES_MAX + 1), 'TooLarge'],
    ['é'.repeat(KEY_BYTES_MAX / 2 + 1), 'TooLarge'],
  ])('key %j is refused and changes nothing', (key, code) =>
    using(async (engine) => {
      expect(await codeOf(() => engine.put(key, bytes('1')))).toBe(code);
      expect(await codeOf(() => engine.get(key))).toBe(code);
      expect(await codeOf(() => engine.delete(key))).toBe(code);
      expect(engine.revision).toBe(0);
    })(),
  );
}

function revisions(using: Using): void {
  test(
    'compare-and-swap',
    using(async (engine) => {
      expect(await engine.put('a', bytes('1'), { ifRevision: 0 })).toBe(1);
      expect(await codeOf(() => engine.put('a', bytes('2'), { ifRevision: 0 }))).toBe('KeyExists');
      expect(await codeOf(() => engine.put('a', bytes('2'), { ifRevision: 9 }))).toBe(
        'KeyModified',
      );
      expect(await codeOf(() => engine.put('b', bytes('2'), { ifRevision: 1 }))).toBe(
        'KeyModified',
      );
      expect(await engine.put('a', bytes('2'), { ifRevision: 1 })).toBe(2);
      expect(await codeOf(() => engine.delete('a', { ifRevision: 1 }))).toBe('KeyModified');
      expect(await engine.delete('a', { ifRevision: 2 })).toBe(3);
      expect(await codeOf(() => engine.put('a', bytes('3'), { ifRevision: -1 }))).toBe(
        'InvalidArgument',
      );
      expect(engine.revision).toBe(3);
    }),
  );
  test(
    'of many concurrent creators one wins',
    using(async (engine) => {
      const codes = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          codeOf(() => engine.put('lock', bytes(`${i}`), { ifRevision: 0 })),
        ),
      );
      expect(codes.filter((code) => code === 'none')).toHaveLength(1);
      expect(codes.filter((code) => code === 'KeyExists')).toHaveLength(49);
      expect(engine.revision).toBe(1);
    }),
  );
  test(
    'concurrent increments lose none',
    using(async (engine) => {
      const increment = async (): Promise<void> => {
        for (;;) {
          const now = await engine.get('n');
          const next = bytes(String(Number(text(now) ?? '0') + 1));
          const done = codeOf(() => engine.put('n', next, { ifRevision: now?.modRevision ?? 0 }));
          if ((await done) === 'none') return;
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      expect(await engine.get('n')).toMatchObject({ version: 20, modRevision: 20 });
    }),
  );
  test(
    'concurrent writes each take their own revision, in order',
    using(async (engine) => {
      const revisionsTaken = await Promise.all(
        Array.from({ length: 600 }, (_, i) => engine.put(`k/${i}`, bytes('1'))),
      );
      expect(revisionsTaken).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
      expect(engine.revision).toBe(600);
    }),
  );
  test(
    'a transaction is one revision, all or nothing',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const ops: Op[] = [
        { type: 'put', key: 'b', value: bytes('2') },
        { type: 'delete', key: 'a' },
      ];
      const stale = [
        { key: 'a', modRevision: 1 },
        { key: 'c', modRevision: 5 },
      ];
      expect(await codeOf(() => engine.txn(stale, ops))).toBe('KeyModified');
      expect(text(await engine.get('a'))).toBe('1');
      expect(
        await engine.txn(
          [
            { key: 'a', modRevision: 1 },
            { key: 'c', modRevision: 0 },
          ],
          ops,
        ),
      ).toBe(2);
      expect(await engine.get('a')).toBeUndefined();
      expect(await engine.get('b')).toMatchObject({ modRevision: 2 });
      expect(await engine.changes(1, 10)).toHaveLength(1);
    }),
  );
  test(
    'a transaction that changes nothing takes no revision',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      expect(await engine.txn([], [{ type: 'delete', key: 'x' }])).toBe(1);
      expect(await engine.txn([{ key: 'a', modRevision: 1 }], [])).toBe(1);
      expect(engine.revision).toBe(1);
    }),
  );
  test(
    'a failing condition rejects only its own transaction',
    using(async (engine) => {
      const results = await Promise.allSettled([
        engine.put('a', bytes('1')),
        engine.put('a', bytes('2'), { ifRevision: 0 }),
        engine.put('b', bytes('3')),
      ]);
      expect(results.map((result) => result.status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(engine.revision).toBe(2);
      expect(text(await engine.get('a'))).toBe('1');
    }),
  );
  test(
    'a transaction has limits',
    using(async (engine) => {
      const twice: Op[] = [
        { type: 'put', key: 'a', value: bytes('1') },
        { type: 'delete', key: '/a' },
      ];
      expect(await codeOf(() => engine.txn([], twice))).toBe('InvalidArgument');
      const deletes: Op[] = Array.from({ length: TXN_OPS_MAX + 1 }, (_, i) => ({
        type: 'delete',
        key: `${i}`,
      }));
      expect(await codeOf(() => engine.txn([], deletes))).toBe('TooLarge');
      const value = new Uint8Array(VALUE_BYTES_MAX);
      const puts: Op[] = Array.from({ length: 9 }, (_, i) => ({ type: 'put', key: `${i}`, value }));
      expect(await codeOf(() => engine.txn([], puts))).toBe('TooLarge');
      expect(await engine.txn([], puts.slice(0, 7))).toBe(1);
    }),
  );
}

function listing(using: Using): void {
  const fill = async (engine: Engine, keys: readonly string[]): Promise<void> => {
    await Promise.all(keys.map((key) => engine.put(key, bytes(key))));
  };
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

function watching(using: Using): void {
  const signal = (): AbortSignal => new AbortController().signal;

  test(
    'history, then what comes, each once and in order',
    using(async (engine) => {
      await engine.put('a/1', bytes('1'));
      await engine.put('b/1', bytes('1'));
      const seen = take(engine.watch('a', { from: 1, signal: signal() }), 4);
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
      const watch = engine.watch('', { signal: signal() });
      await engine.put('a/2', bytes('1'));
      expect(await take(watch, 1)).toEqual(['2: put a/2']);
    }),
  );
  test(
    'a revision to come',
    using(async (engine) => {
      const seen = take(engine.watch('', { from: 3, signal: signal() }), 1);
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
        for await (const set of engine.watch('k', { signal: signal() })) {
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
      const watch = engine.watch('', { signal: signal() })[Symbol.asyncIterator]();
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
      expect(await codeOf(() => take(engine.watch('', { from: 2, signal: signal() }), 1))).toBe(
        'Compacted',
      );
      expect(await take(engine.watch('', { from: 3, signal: signal() }), 1)).toEqual(['3: put c']);
      expect(await codeOf(async () => engine.watch('', { from: 0, signal: signal() }))).toBe(
        'InvalidArgument',
      );
    }),
  );
  test(
    'a watcher of quiet keys outlives a compaction',
    using(async (engine) => {
      const seen = take(engine.watch('quiet', { signal: signal() }), 1);
      for (let i = 0; i < 20; i += 1) await engine.put('loud/1', bytes('1'));
      await engine.compact(20);
      await engine.put('quiet/1', bytes('1'));
      expect(await seen).toEqual(['21: put quiet/1']);
    }),
  );
}

function changeLog(using: Using): void {
  test(
    'pages through all changes',
    using(async (engine) => {
      for (let i = 0; i < 25; i += 1) await engine.put('a', bytes(`${i}`));
      const seen: number[] = [];
      for (;;) {
        const page = await engine.changes(seen.at(-1) ?? 0, 10);
        if (page.length === 0) break;
        seen.push(...page.map((set) => set.revision));
      }
      expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
      expect(await engine.changes(99, 10)).toEqual([]);
      expect(await codeOf(() => engine.changes(-1, 10))).toBe('InvalidArgument');
    }),
  );
  test(
    'compaction keeps current values',
    using(async (engine) => {
      await Promise.all(
        Array.from({ length: 2000 }, (_, i) => engine.put(`k/${i % 10}`, bytes(`${i}`))),
      );
      await engine.compact(1990);
      expect(await engine.stats()).toMatchObject({
        compactedRevision: 1990,
        logEntries: 10,
        keys: 10,
      });
      expect(await codeOf(() => engine.changes(1989, 1))).toBe('Compacted');
      expect(await engine.changes(1990, 100)).toHaveLength(10);
      expect((await engine.list('k')).kvs).toHaveLength(10);
      await engine.compact(5);
      await engine.compact(2000);
      expect(await engine.changes(2000, 10)).toEqual([]);
      expect(await codeOf(() => engine.compact(2001))).toBe('InvalidArgument');
      expect(await engine.put('a', bytes('1'))).toBe(2001);
      expect(await engine.changes(2000, 10)).toHaveLength(1);
    }),
  );
}

function closing(open: OpenEmpty): void {
  test('ends watches, keeps what was begun, refuses the rest, and may be repeated', async () => {
    const engine = await open();
    const watching = codeOf(() =>
      take(engine.watch('', { signal: new AbortController().signal }), 99),
    );
    await engine.put('a', bytes('1'));
    const late = codeOf(() => engine.put('b', bytes('2')));
    await Promise.all([engine.close(), engine.close()]);
    expect(['none', 'Unavailable']).toContain(await late);
    expect(await watching).toBe('Unavailable');
    await engine.close();
    for (const work of [
      () => engine.get('a'),
      () => engine.put('a', bytes('1')),
      () => engine.delete('a'),
      () => engine.txn([], []),
      () => engine.list(''),
      () => engine.changes(0, 1),
      () => engine.compact(1),
      () => engine.stats(),
      async () => engine.watch('', { signal: new AbortController().signal }),
    ]) {
      expect(await codeOf(work)).toBe('Unavailable');
    }
  });
}
