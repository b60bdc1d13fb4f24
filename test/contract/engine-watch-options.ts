/** What a watch may ask for: previous values, puts or deletes alone, and how far it has come. */
import { expect, test } from 'vitest';
import { FakeClock } from '../support/fake-clock.ts';
import {
  bytes,
  codeOf,
  neverAborted,
  take,
  text,
  type OpenEmpty,
  type Using,
} from './engine-case.ts';
import type { ChangeSet, Engine, WatchOptions } from '../../src/engine/index.ts';

type Asked = Omit<WatchOptions, 'signal'>;

const watching = (engine: Engine, asked: Asked): AsyncIterator<ChangeSet> =>
  engine.watch('', { ...asked, signal: neverAborted() })[Symbol.asyncIterator]();

async function next(watch: AsyncIterator<ChangeSet>): Promise<ChangeSet> {
  const { done, value } = await watch.next();
  if (done) throw new Error('the watch ended');
  return value;
}

const told = ({ changes }: ChangeSet): string =>
  changes.map(({ kv, previous }) => `${kv.key} was ${text(previous)}`).join(', ');

export function watchOptions(using: Using, open: OpenEmpty): void {
  previousValues(using);
  only(using);
  progress(open);
}

function previousValues(using: Using): void {
  test(
    'previous values, live and from the log alike, and only when asked for',
    using(async (engine) => {
      const live = watching(engine, { previousValues: true });
      const plain = watching(engine, {});
      const write = async (): Promise<void> => {
        await engine.put('a', bytes('1'));
        await engine.txn(
          [],
          [
            { type: 'put', key: 'a', value: bytes('2') },
            { type: 'put', key: 'b', value: bytes('new') },
          ],
        );
        await engine.transact({ then: [{ type: 'delete', prefix: '' }] });
        await engine.put('a', bytes('anew'));
      };
      const reading = [];
      for (let i = 0; i < 4; i += 1) reading.push(next(live), next(plain));
      await write();
      const sets = await Promise.all(reading);
      const withValues = sets.filter((_, i) => i % 2 === 0);
      expect(withValues.map(told)).toEqual([
        'a was undefined',
        'a was 1, b was undefined',
        'a was 2, b was new',
        'a was undefined',
      ]);
      expect(withValues[1]!.changes[0]!.previous).toEqual({
        key: 'a',
        value: bytes('1'),
        createRevision: 1,
        modRevision: 1,
        version: 1,
      });
      const without = sets.filter((_, i) => i % 2 === 1);
      expect(
        without.flatMap(({ changes }) => changes.map((one) => 'previous' in one)),
      ).not.toContain(true);
      const again = watching(engine, { previousValues: true, from: 1 });
      for (const set of withValues) expect(await next(again)).toEqual(set);
      for (const one of [live, plain, again]) await one.return?.();
    }),
  );
}

function only(using: Using): void {
  test(
    'puts alone, deletes alone: a set without any is none',
    using(async (engine) => {
      const puts = take(engine.watch('', { only: 'put', signal: neverAborted() }), 3);
      const deletes = take(engine.watch('', { only: 'delete', signal: neverAborted() }), 2);
      await engine.put('a', bytes('1'));
      await engine.delete('a');
      await engine.transact({
        then: [
          { type: 'put', key: 'b', value: bytes('1') },
          { type: 'put', key: 'c', value: bytes('1') },
        ],
      });
      await engine.transact({
        then: [
          { type: 'delete', key: 'b' },
          { type: 'put', key: 'd', value: bytes('1') },
        ],
      });
      const expected = [
        ['1: put a', '3: put b, put c', '4: put d'],
        ['2: delete a', '4: delete b'],
      ];
      expect([await puts, await deletes]).toEqual(expected);
      const log = { from: 1, signal: neverAborted() };
      expect(await take(engine.watch('', { ...log, only: 'put' }), 3)).toEqual(expected[0]);
      expect(await take(engine.watch('', { ...log, only: 'delete' }), 2)).toEqual(expected[1]);
    }),
  );
}

function progress(open: OpenEmpty): void {
  const using = (work: (engine: Engine, clock: FakeClock) => Promise<void>) => async () => {
    const clock = new FakeClock();
    const engine = await open(clock);
    try {
      await work(engine, clock);
    } finally {
      await engine.close();
    }
  };
  const until = async (check: () => boolean): Promise<void> => {
    while (!check()) await new Promise((resolve) => setImmediate(resolve));
  };

  test(
    'progress when idle: up to where all was seen, also what is not watched',
    using(async (engine, clock) => {
      const watch = engine.watch('a', { progressMs: 500, signal: neverAborted() });
      const reader = watch[Symbol.asyncIterator]();
      let item = reader.next();
      await engine.put('b', bytes('1'));
      await engine.put('b', bytes('2'));
      await until(() => clock.sleeps[0] === 500);
      clock.advance(499);
      await engine.put('a/1', bytes('1'));
      expect((await item).value).toMatchObject({ revision: 3, changes: [{ type: 'put' }] });
      item = reader.next();
      await until(() => clock.sleeps[0] === 500);
      await engine.put('b', bytes('3'));
      clock.advance(500);
      expect((await item).value).toEqual({ revision: 4, changes: [] });
      item = reader.next();
      await until(() => clock.sleeps[0] === 500);
      clock.advance(500);
      expect((await item).value).toEqual({ revision: 4, changes: [] });
      item = reader.next();
      await engine.put('a/2', bytes('1'));
      expect((await item).value).toMatchObject({ revision: 5, changes: [{ type: 'put' }] });
      await reader.return?.();
      expect(clock.sleeps).toEqual([]);
    }),
  );
  test(
    'without it nothing comes, and no timer runs',
    using(async (engine, clock) => {
      const item = watching(engine, {}).next();
      await engine.put('b', bytes('1'));
      expect((await item).value).toMatchObject({ revision: 1 });
      expect(clock.sleeps).toEqual([]);
    }),
  );
  test(
    'asked for: once, behind all that came before',
    using(async (engine) => {
      for (let i = 0; i < 5; i += 1) await engine.put('a/1', bytes(`${i}`));
      const watch = engine.watch('a', { from: 4, signal: neverAborted() });
      watch.requestProgress();
      const reader = watch[Symbol.asyncIterator]();
      expect((await reader.next()).value).toMatchObject({ revision: 4, changes: [{}] });
      expect((await reader.next()).value).toMatchObject({ revision: 5, changes: [{}] });
      expect((await reader.next()).value).toEqual({ revision: 5, changes: [] });
      const waiting = reader.next();
      await engine.put('b', bytes('1'));
      watch.requestProgress();
      expect((await waiting).value).toEqual({ revision: 6, changes: [] });
      const last = reader.next();
      await engine.put('a/1', bytes('last'));
      expect((await last).value).toMatchObject({ revision: 7, changes: [{}] });
      await reader.return?.();
    }),
  );
  test(
    'a watch from a revision to come claims no more than there is',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const watch = engine.watch('', { from: 100, signal: neverAborted() });
      watch.requestProgress();
      expect(await take(watch, 1)).toEqual(['1: ']);
    }),
  );
  test(
    'a signal ends a watch that waits for its progress',
    using(async (engine, clock) => {
      const abort = new AbortController();
      const ended = take(engine.watch('', { progressMs: 500, signal: abort.signal }), 1);
      await until(() => clock.sleeps[0] === 500);
      abort.abort();
      expect(await ended).toEqual([]);
      await until(() => clock.sleeps.length === 0);
      const often = { progressMs: 99, signal: neverAborted() };
      expect(await codeOf(async () => engine.watch('', often))).toBe('InvalidArgument');
    }),
  );
}
