/**
 * The contract of locks as tests: the story of src/engine/lock.ts.
 * Method: the engine's time and each holder's are clocks of their own that stand still until moved. A
 * holder whose clock stands still is a dead one: it keeps nothing alive.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { acquireLock, lockHolder, type Engine, type LockEngine } from '../../src/engine/index.ts';
import { LEASE_CONFIRM_MS, LOCK_VALUE_BYTES_MAX } from '../../src/engine/limits.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { bytes, codeOf, text } from './engine-case.ts';
import type { OpenWithClock } from './leases.ts';

const NAME = 'locks/door';

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await nextTurn();
}

/** Until so many stand in the queue. */
async function queued(engine: Engine, count: number): Promise<void> {
  await until(async () => (await engine.list(NAME)).kvs.length === count);
}

async function nothingLeft(engine: Engine): Promise<void> {
  expect((await engine.list('')).kvs).toEqual([]);
  expect(await engine.leases.list()).toEqual([]);
}

/** The engine, and how often the queue was looked at. */
function counting(engine: Engine): { readonly counted: LockEngine; readonly lists: () => number } {
  let lists = 0;
  const counted: LockEngine = {
    leases: engine.leases,
    txn: (conditions, ops) => engine.txn(conditions, ops),
    watch: (prefix, options) => engine.watch(prefix, options),
    list: (prefix) => {
      if (prefix === NAME) lists += 1;
      return engine.list(prefix);
    },
  };
  return { counted, lists: () => lists };
}

type Work = (engine: Engine, clock: FakeClock) => Promise<void>;
type Using = (work: Work) => () => Promise<void>;

export function lockContract(name: string, open: OpenWithClock): void {
  const using = (work: Work) => async (): Promise<void> => {
    const clock = new FakeClock();
    const engine = await open(clock);
    try {
      await work(engine, clock);
    } finally {
      await engine.close();
    }
  };
  describe(`lock contract: ${name}`, () => {
    describe('holding', () => {
      holding(using);
    });
    describe('waiting', () => {
      waiting(using);
    });
    describe('losing', () => {
      losing(using);
    });
  });
}

function holding(using: Using): void {
  test(
    'a free lock is had at once, says who has it, and leaves nothing when it is unlocked',
    using(async (engine) => {
      expect(await lockHolder(engine, NAME)).toBeUndefined();
      const lock = await acquireLock(engine, NAME, { value: bytes('me') });
      const holder = await lockHolder(engine, `/${NAME}/`);
      expect(holder).toMatchObject({ key: lock.key, createRevision: lock.fence });
      expect(text(holder)).toBe('me');
      await lock.setValue(bytes('me, still'));
      await lock.setValue(bytes('me, at last'));
      expect(text(await lockHolder(engine, NAME))).toBe('me, at last');
      await Promise.all([lock.unlock(), lock.unlock()]);
      await lock.unlock();
      expect(lock.lost.aborted).toBe(false);
      expect(await codeOf(() => lock.setValue(bytes('not me')))).not.toBe('none');
      await nothingLeft(engine);
    }),
  );
  test(
    'it is kept alive for as long as it is held, without a write',
    using(async (engine, clock) => {
      const lock = await acquireLock(engine, NAME, { ttlSeconds: 3, clock });
      const { revision } = engine;
      for (let i = 0; i < 50; i += 1) {
        await until(() => clock.sleeps.length === 2);
        clock.advance(1_000);
        await until(async () => (await engine.leases.list())[0]!.remainingMs === 3_000);
      }
      expect(lock.lost.aborted).toBe(false);
      expect(engine.revision).toBe(revision);
      await lock.unlock();
    }),
  );
  test(
    'locks of other names, one inside the other too, do not meet',
    using(async (engine) => {
      const locks = await Promise.all(
        [NAME, `${NAME}/inner`, 'locks/doormat', 'locks'].map((name) => acquireLock(engine, name)),
      );
      expect(new Set(locks.map(({ fence }) => fence)).size).toBe(4);
      await Promise.all(locks.map((lock) => lock.unlock()));
      await nothingLeft(engine);
    }),
  );
  test(
    'what can not be a lock is refused and leaves nothing',
    using(async (engine) => {
      const value = new Uint8Array(LOCK_VALUE_BYTES_MAX + 1);
      expect(await codeOf(() => acquireLock(engine, ''))).toBe('InvalidArgument');
      expect(await codeOf(() => acquireLock(engine, 'a//b'))).toBe('InvalidArgument');
      expect(await codeOf(() => acquireLock(engine, NAME, { ttlSeconds: 0 }))).toBe(
        'InvalidArgument',
      );
      expect(await codeOf(() => acquireLock(engine, NAME, { value }))).toBe('TooLarge');
      expect(await codeOf(() => acquireLock(engine, 'k'.repeat(1020)))).toBe('TooLarge');
      const lock = await acquireLock(engine, NAME);
      expect(await codeOf(() => lock.setValue(value))).toBe('TooLarge');
      await lock.unlock();
      await nothingLeft(engine);
    }),
  );
}

function waiting(using: Using): void {
  test(
    'one at a time, in the order they came, each woken once, with rising fences',
    using(async (engine) => {
      const { counted, lists } = counting(engine);
      const COUNT = 40;
      const order: number[] = [];
      const fences: number[] = [];
      let inside = 0;
      const one = async (i: number): Promise<void> => {
        const lock = await acquireLock(counted, NAME, { value: bytes(`${i}`) });
        inside += 1;
        expect(inside).toBe(1);
        order.push(i);
        fences.push(lock.fence);
        expect(text(await lockHolder(engine, NAME))).toBe(`${i}`);
        inside -= 1;
        await lock.unlock();
      };
      await Promise.all(Array.from({ length: COUNT }, (_, i) => one(i)));
      expect(order).toEqual(Array.from({ length: COUNT }, (_, i) => i));
      expect(fences).toEqual(fences.toSorted((a, b) => a - b));
      // Once when it comes, once when it is woken.
      expect(lists()).toBeLessThanOrEqual(2 * COUNT);
      await nothingLeft(engine);
    }),
  );
  test(
    'who gives up leaves no trace and lets nobody in before their turn',
    using(async (engine) => {
      const holder = await acquireLock(engine, NAME);
      const abort = new AbortController();
      const quitter = codeOf(() => acquireLock(engine, NAME, { signal: abort.signal }));
      await queued(engine, 2);
      let entered = false;
      const next = acquireLock(engine, NAME).then((lock) => {
        entered = true;
        return lock;
      });
      await queued(engine, 3);
      abort.abort();
      expect(await quitter).toBe('Cancelled');
      expect((await engine.list(NAME)).kvs).toHaveLength(2);
      expect(await engine.leases.list()).toHaveLength(2);
      for (let i = 0; i < 20; i += 1) await nextTurn();
      expect(entered).toBe(false);
      await holder.unlock();
      await (await next).unlock();
      expect(await codeOf(() => acquireLock(engine, NAME, { signal: abort.signal }))).toBe(
        'Cancelled',
      );
      await nothingLeft(engine);
    }),
  );
  test(
    'given up while the place is taken, nothing is left either',
    using(async (engine) => {
      const abort = new AbortController();
      const quitter = codeOf(() => acquireLock(engine, NAME, { signal: abort.signal }));
      abort.abort();
      expect(await quitter).toBe('Cancelled');
      await nothingLeft(engine);
    }),
  );
}

function losing(using: Using): void {
  test(
    'a holder that died frees it after the time to live, and is told when it comes back',
    using(async (engine, clock) => {
      const dead = await acquireLock(engine, NAME, { ttlSeconds: 2, clock: new FakeClock() });
      const next = acquireLock(engine, NAME, { ttlSeconds: 60, clock: new FakeClock() });
      await queued(engine, 2);
      await until(() => clock.sleeps[0] === 2_000);
      clock.advance(2_000);
      await until(() => clock.sleeps[0] === LEASE_CONFIRM_MS);
      expect((await lockHolder(engine, NAME))!.key).toBe(dead.key);
      clock.advance(LEASE_CONFIRM_MS);
      const lock = await next;
      expect(lock.fence).toBeGreaterThan(dead.fence);
      await until(() => dead.lost.aborted);
      await dead.unlock();
      expect((await lockHolder(engine, NAME))!.key).toBe(lock.key);
      await lock.unlock();
      await nothingLeft(engine);
    }),
  );
  test.each([
    ['its key is deleted', (engine: Engine, key: string) => engine.delete(key)],
    ['its key is put by somebody else and deleted', putAndDelete],
    [
      'its lease is revoked',
      async (engine: Engine, key: string) => engine.leases.revoke((await engine.get(key))!.lease!),
    ],
  ])('%s: it is lost, the next one has it', (_, take) =>
    using(async (engine) => {
      const lock = await acquireLock(engine, NAME);
      const next = acquireLock(engine, NAME);
      await queued(engine, 2);
      await take(engine, lock.key);
      expect(await codeOf(() => lock.setValue(bytes('still mine?')))).not.toBe('none');
      await (await next).unlock();
      await until(() => lock.lost.aborted);
      expect(lock.lost.reason).toMatchObject({ code: 'Conflict' });
      await lock.unlock();
      await nothingLeft(engine);
    })(),
  );
  test(
    'a lease that ended without a word is noticed by the next keep-alive',
    using(async (engine, clock) => {
      // Its watch has not got there yet.
      const deaf: LockEngine = { ...counting(engine).counted, watch: () => silence() };
      const lock = await acquireLock(deaf, NAME, { ttlSeconds: 3, clock });
      await engine.leases.revoke((await engine.get(lock.key))!.lease!);
      await until(() => clock.sleeps[0] === 1_000);
      clock.advance(1_000);
      await until(() => lock.lost.aborted);
      expect(lock.lost.reason).toMatchObject({ code: 'NotFound' });
    }),
  );
  test(
    'a keep-alive that is never answered: lost when the time to live is over, and unlock is not held up',
    using(async (engine, clock) => {
      const leases = { ...engineLeases(engine), keepAlive: () => new Promise<never>(() => {}) };
      const deaf: LockEngine = { ...counting(engine).counted, leases };
      const lock = await acquireLock(deaf, NAME, { ttlSeconds: 3, clock });
      await until(() => clock.sleeps[0] === 1_000);
      clock.advance(1_000);
      // The engine's own deadline and the holder's, asked for at the same time.
      await until(() => clock.sleeps.length === 2 && clock.sleeps[1] === 2_000);
      clock.advance(1_999);
      expect(lock.lost.aborted).toBe(false);
      clock.advance(1);
      await until(() => lock.lost.aborted);
      expect(lock.lost.reason).toMatchObject({ code: 'DeadlineExceeded' });
      const other = await acquireLock(deaf, 'other', { ttlSeconds: 3, clock });
      await until(() => clock.sleeps.includes(1_000));
      clock.advance(1_000);
      await other.unlock();
    }),
  );
  test(
    'an engine that is away for less than the time to live takes no lock away',
    using(async (engine, clock) => {
      let away = true;
      const keepAlive = async (id: number): Promise<number> => {
        if (away) throw new HoldfastError('AgentNotRunning', 'away');
        return engine.leases.keepAlive(id);
      };
      const shaky: LockEngine = {
        ...counting(engine).counted,
        leases: { ...engineLeases(engine), keepAlive },
      };
      const lock = await acquireLock(shaky, NAME, { ttlSeconds: 3, clock });
      await until(() => clock.sleeps[0] === 1_000);
      clock.advance(1_000);
      // Asked again soon, not a third of the time to live later.
      await until(() => clock.sleeps[0] === 150);
      clock.advance(150);
      await until(() => clock.sleeps[0] === 150);
      away = false;
      clock.advance(150);
      await until(async () => (await engine.leases.list())[0]!.remainingMs === 3_000);
      expect(lock.lost.aborted).toBe(false);
      await lock.unlock();
    }),
  );
  test(
    'a place in the queue that is taken away is told',
    using(async (engine) => {
      const holder = await acquireLock(engine, NAME);
      const waiter = codeOf(() => acquireLock(engine, NAME));
      await queued(engine, 2);
      const { kvs } = await engine.list(NAME);
      await engine.delete(kvs.find(({ key }) => key !== holder.key)!.key);
      expect(await waiter).toBe('Conflict');
      expect(holder.lost.aborted).toBe(false);
      await holder.unlock();
      await nothingLeft(engine);
    }),
  );
  test(
    'the engine closes: the lock is lost, waiters are told',
    using(async (engine) => {
      const lock = await acquireLock(engine, NAME);
      const waiter = codeOf(() => acquireLock(engine, NAME));
      await queued(engine, 2);
      await engine.close();
      expect(await waiter).toBe('Unavailable');
      await until(() => lock.lost.aborted);
      expect(lock.lost.reason).toMatchObject({ code: 'Unavailable' });
      expect(await codeOf(() => lock.unlock())).toBe('Unavailable');
    }),
  );
}

async function putAndDelete(engine: Engine, key: string): Promise<void> {
  await engine.put(key, bytes('not mine'));
  await engine.delete(key);
}

/** What a lock uses of them, to be replaced in part. */
function engineLeases({ leases }: Engine): LockEngine['leases'] {
  return {
    grant: (ttlSeconds) => leases.grant(ttlSeconds),
    keepAlive: (id) => leases.keepAlive(id),
    revoke: (id) => leases.revoke(id),
  };
}

/** A watch that never says anything. */
function silence(): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
}
