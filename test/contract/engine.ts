/**
 * The engine's contract as tests: what src/engine/engine.ts promises, held against any implementation.
 * Every backend runs the same suite; none may skip a case.
 */
import { describe, expect, test } from 'vitest';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../src/engine/index.ts';
import { bytes, codeOf, take, text, type OpenEmpty, type Using } from './engine-case.ts';
import { history } from './engine-history.ts';
import { listing } from './engine-listing.ts';
import { revisions } from './engine-revisions.ts';
import { spans } from './engine-spans.ts';
import { transactions } from './engine-transactions.ts';
import { watching } from './engine-watching.ts';
import { watchOptions } from './engine-watch-options.ts';
import type { Engine } from '../../src/engine/index.ts';

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
    describe('older revisions', () => {
      history(using);
    });
    describe('transactions', () => {
      transactions(using);
    });
    describe('spans of keys', () => {
      spans(using);
    });
    describe('watching', () => {
      watching(using);
    });
    describe('what a watch may ask for', () => {
      watchOptions(using, open);
    });
    describe('the change log', () => {
      changeLog(using);
    });
    describe('closing', () => {
      closing(open);
    });
  });
}

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
  test(
    'a reader that holds the log keeps it from being compacted, and is named',
    using(async (engine) => {
      for (let i = 0; i < 10; i += 1) await engine.put('a', bytes(`${i}`));
      expect(await engine.stats()).toMatchObject({ holds: [], heldBy: undefined });
      engine.hold('late', 3);
      engine.hold('later', 2);
      const late = { name: 'late', revision: 3 };
      const later = { name: 'later', revision: 2 };
      expect((await engine.stats()).holds).toEqual([later, late]);
      expect(await engine.compact(8)).toEqual({ compactedRevision: 2, heldBy: later });
      expect(await engine.changes(2, 10)).toHaveLength(8);
      engine.hold('later', 9);
      expect(await engine.compact(8)).toEqual({ compactedRevision: 3, heldBy: late });
      expect(await engine.compact(3)).toEqual({ compactedRevision: 3 });
      expect(await engine.compact(8, { overHolds: true })).toEqual({ compactedRevision: 8 });
      engine.hold('late', undefined);
      engine.hold('late', undefined);
      expect(await engine.compact(10)).toMatchObject({ compactedRevision: 9 });
      expect((await engine.stats()).holds).toEqual([{ name: 'later', revision: 9 }]);
      expect(await codeOf(() => engine.hold('x', 1.5))).toBe('InvalidArgument');
    }),
  );
  test(
    'the age of the log is told, and that of an empty one is not',
    using(async (engine) => {
      expect((await engine.stats()).oldestAgeMs).toBeUndefined();
      await engine.put('a', bytes('1'));
      const { oldestAgeMs, logBytes } = await engine.stats();
      expect(oldestAgeMs).toBeGreaterThanOrEqual(0);
      expect(logBytes).toBeGreaterThan(0);
      await engine.compact(1);
      expect(await engine.stats()).toMatchObject({ oldestAgeMs: undefined, logBytes: 0 });
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
