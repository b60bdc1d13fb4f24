/**
 * The contract of leases as tests: what `Leases` in src/engine/engine.ts and the story of lease.ts promise.
 * Method: time stands still until a test moves it, so a lease ends when the test says.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  KEY_BYTES_MAX,
  LEASE_KEYS_MAX,
  LEASE_TTL_SECONDS_MAX,
  type Engine,
  type Op,
} from '../../src/engine/index.ts';
import { LEASE_CONFIRM_MS } from '../../src/engine/limits.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { bytes, codeOf, take } from './engine-case.ts';

/** Opens a new, empty engine that goes by `clock`; the suite closes it. */
export type OpenWithClock = (clock: FakeClock) => Promise<Engine>;

/** Lets time pass once somebody sleeps: a sleep that begins later would not see it. */
export async function pass(clock: FakeClock, ms: number): Promise<void> {
  while (clock.sleeps.length === 0) await nextTurn();
  clock.advance(ms);
}

/** Until the first to wake sleeps for just that long. */
async function sleeping(clock: FakeClock, ms: number): Promise<void> {
  while (clock.sleeps[0] !== ms) await nextTurn();
}

/** The time of a lease of `ttlSeconds`, and the moment it gets after that. */
async function passLease(clock: FakeClock, ttlSeconds: number): Promise<void> {
  await pass(clock, ttlSeconds * 1000);
  await sleeping(clock, LEASE_CONFIRM_MS);
  clock.advance(LEASE_CONFIRM_MS);
}

async function gone(engine: Engine, lease: number): Promise<void> {
  while ((await codeOf(() => engine.leases.timeToLive(lease))) !== 'NotFound') await nextTurn();
}

type Work = (engine: Engine, clock: FakeClock) => Promise<void>;
type Using = (work: Work) => () => Promise<void>;

export function leaseContract(name: string, open: OpenWithClock): void {
  const using = (work: Work) => async (): Promise<void> => {
    const clock = new FakeClock();
    const engine = await open(clock);
    try {
      await work(engine, clock);
    } finally {
      await engine.close();
    }
    expect(clock.sleeps).toEqual([]);
  };
  describe(`lease contract: ${name}`, () => {
    describe('keys under a lease', () => {
      keysUnderLease(using);
    });
    describe('the end', () => {
      theEnd(using);
    });
    describe('time', () => {
      time(using);
    });
    describe('limits and closing', () => {
      limits(using);
    });
  });
}

function keysUnderLease(using: Using): void {
  test(
    'a put shows its lease: read, listed, watched, in the log',
    using(async (engine) => {
      const lease = await engine.leases.grant(60);
      await engine.put('a', bytes('1'), { lease });
      await engine.txn([], [{ type: 'put', key: 'b', value: bytes(''), lease }]);
      const a = { key: 'a', value: bytes('1'), createRevision: 1, modRevision: 1, version: 1 };
      expect(await engine.get('a')).toEqual({ ...a, lease });
      expect((await engine.list('')).kvs.map((kv) => kv.lease)).toEqual([lease, lease]);
      const [first, second] = await engine.changes(0, 10);
      expect(first!.changes).toEqual([{ type: 'put', kv: { ...a, lease } }]);
      expect(second!.changes[0]!.kv).toMatchObject({ key: 'b', value: bytes(''), lease });
      expect(await engine.leases.timeToLive(lease)).toEqual({
        id: lease,
        ttlSeconds: 60,
        remainingMs: 60_000,
        keys: ['a', 'b'],
      });
    }),
  );
  test(
    'a put without a lease leaves it, one with another moves, a delete leaves too',
    using(async (engine) => {
      const one = await engine.leases.grant(60);
      const two = await engine.leases.grant(60);
      for (const key of ['left', 'moved', 'deleted', 'again']) {
        await engine.put(key, bytes('1'), { lease: one });
      }
      await engine.put('left', bytes('2'));
      await engine.put('moved', bytes('2'), { lease: two });
      await engine.delete('deleted');
      await engine.put('again', bytes('2'), { lease: one });
      expect((await engine.get('left'))!.lease).toBeUndefined();
      expect((await engine.leases.timeToLive(one)).keys).toEqual(['again']);
      expect((await engine.leases.timeToLive(two)).keys).toEqual(['moved']);
      await engine.leases.revoke(one);
      expect((await engine.list('')).kvs.map((kv) => kv.key)).toEqual(['left', 'moved']);
    }),
  );
  test(
    'a lease that is not there refuses the whole transaction',
    using(async (engine) => {
      const ops: Op[] = [
        { type: 'put', key: 'a', value: bytes('1') },
        { type: 'put', key: 'b', value: bytes('1'), lease: 12_345 },
      ];
      expect(await codeOf(() => engine.txn([], ops))).toBe('NotFound');
      expect(await codeOf(() => engine.put('a', bytes('1'), { lease: 0 }))).toBe('InvalidArgument');
      expect(engine.revision).toBe(0);
      expect((await engine.list('')).kvs).toEqual([]);
    }),
  );
  test(
    'puts and the end in one commit happen in the order they were asked',
    using(async (engine) => {
      const lease = await engine.leases.grant(60);
      const results = await Promise.allSettled([
        engine.put('z', bytes('1'), { lease }),
        engine.put('a', bytes('1'), { lease }),
        engine.put('b', bytes('1'), { lease }),
        engine.put('b', bytes('2')),
        engine.leases.revoke(lease),
        engine.put('c', bytes('1'), { lease }),
      ]);
      expect(results.map((result) => result.status === 'fulfilled' && result.value)).toEqual([
        1,
        2,
        3,
        4,
        5,
        false,
      ]);
      expect((await engine.changes(4, 1))[0]!.changes.map(({ kv }) => kv.key)).toEqual(['a', 'z']);
      expect((await engine.list('')).kvs.map((kv) => kv.key)).toEqual(['b']);
      expect((await engine.stats()).keys).toBe(1);
    }),
  );
}

function theEnd(using: Using): void {
  test(
    'revoke deletes all its keys in one revision, in key order, and is final',
    using(async (engine) => {
      const lease = await engine.leases.grant(60);
      for (const key of ['b', 'a/b', '\u{1f511}', '\uffee', 'a']) {
        await engine.put(key, bytes('1'), { lease });
      }
      await engine.put('stays', bytes('1'));
      const seen = take(engine.watch('', { signal: new AbortController().signal }), 1);
      expect(await engine.leases.revoke(lease)).toBe(7);
      expect(await seen).toEqual([
        '7: delete a, delete a/b, delete b, delete \uffee, delete \u{1f511}',
      ]);
      expect((await engine.list('')).kvs.map((kv) => kv.key)).toEqual(['stays']);
      expect(await codeOf(() => engine.leases.revoke(lease))).toBe('NotFound');
      expect(await codeOf(() => engine.leases.keepAlive(lease))).toBe('NotFound');
      expect(await codeOf(() => engine.leases.timeToLive(lease))).toBe('NotFound');
      expect(await engine.leases.list()).toEqual([]);
    }),
  );
  test(
    'a lease without keys takes no revision, neither to begin nor to end',
    using(async (engine, clock) => {
      expect(await engine.leases.revoke(await engine.leases.grant(1))).toBeUndefined();
      const lease = await engine.leases.grant(1);
      await passLease(clock, 1);
      await gone(engine, lease);
      expect(engine.revision).toBe(0);
    }),
  );
  test(
    'its time over, all its keys go in one revision',
    using(async (engine, clock) => {
      const lease = await engine.leases.grant(2);
      await Promise.all(['a', 'b', 'c'].map((key) => engine.put(key, bytes('1'), { lease })));
      const seen = take(engine.watch('', { signal: new AbortController().signal }), 1);
      await passLease(clock, 2);
      expect(await seen).toEqual(['4: delete a, delete b, delete c']);
      expect(engine.revision).toBe(4);
      await gone(engine, lease);
    }),
  );
  test(
    'many at once end each in its own revision',
    using(async (engine, clock) => {
      const leases = await Promise.all(Array.from({ length: 300 }, () => engine.leases.grant(1)));
      await Promise.all(leases.map((lease, i) => engine.put(`k/${i}`, bytes('1'), { lease })));
      const seen = take(engine.watch('', { signal: new AbortController().signal }), 300);
      await passLease(clock, 1);
      const sets = await seen;
      expect(sets).toHaveLength(300);
      expect(sets.every((set) => set.match(/delete/g)!.length === 1)).toBe(true);
      expect((await engine.stats()).keys).toBe(0);
      for (const lease of leases) await gone(engine, lease);
    }),
  );
}

function time(using: Using): void {
  test(
    'a keep-alive begins its time anew and is no revision',
    using(async (engine, clock) => {
      const lease = await engine.leases.grant(2);
      await engine.put('a', bytes('1'), { lease });
      for (let i = 0; i < 5; i += 1) {
        await pass(clock, 1_500);
        expect(await engine.leases.keepAlive(lease)).toBe(2);
        expect(await engine.leases.list()).toEqual([
          { id: lease, ttlSeconds: 2, remainingMs: 2_000 },
        ]);
      }
      expect(engine.revision).toBe(1);
      expect(await engine.get('a')).toMatchObject({ version: 1 });
    }),
  );
  test(
    'a shorter lease that comes later ends first',
    using(async (engine, clock) => {
      const long = await engine.leases.grant(60);
      await sleeping(clock, 60_000);
      const short = await engine.leases.grant(1);
      await sleeping(clock, 1_000);
      await passLease(clock, 1);
      await gone(engine, short);
      expect(await engine.leases.list()).toEqual([
        { id: long, ttlSeconds: 60, remainingMs: 60_000 - 1_000 - LEASE_CONFIRM_MS },
      ]);
    }),
  );
  test(
    'after a stall who says so in the moment that follows lives on, the others end',
    using(async (engine, clock) => {
      const alive = await engine.leases.grant(1);
      const dead = await engine.leases.grant(1);
      await engine.put('alive', bytes('1'), { lease: alive });
      await engine.put('dead', bytes('1'), { lease: dead });
      await pass(clock, 3_600_000);
      // Stalled again, now while it waits for that moment: it begins anew.
      await sleeping(clock, LEASE_CONFIRM_MS);
      clock.advance(60_000);
      await sleeping(clock, LEASE_CONFIRM_MS);
      expect((await engine.list('')).kvs).toHaveLength(2);
      await engine.leases.keepAlive(alive);
      clock.advance(LEASE_CONFIRM_MS);
      await gone(engine, dead);
      expect((await engine.list('')).kvs.map((kv) => kv.key)).toEqual(['alive']);
    }),
  );
  test(
    'no timer without a lease',
    using(async (engine, clock) => {
      expect(clock.sleeps).toEqual([]);
      const lease = await engine.leases.grant(1);
      while (clock.sleeps.length === 0) await nextTurn();
      await engine.leases.revoke(lease);
      await pass(clock, 1_000);
      for (let i = 0; i < 10; i += 1) await nextTurn();
      expect(clock.sleeps).toEqual([]);
    }),
  );
}

function limits(using: Using): void {
  test.each([0, -1, 0.5, 1.5, NaN, Infinity, LEASE_TTL_SECONDS_MAX + 1])(
    'a time to live of %d s is refused',
    (ttlSeconds) =>
      using(async (engine) => {
        expect(await codeOf(() => engine.leases.grant(ttlSeconds))).toBe('InvalidArgument');
        expect(await engine.leases.list()).toEqual([]);
      })(),
  );
  test(
    'as many keys as a transaction has, the longest ones too',
    using(async (engine) => {
      const lease = await engine.leases.grant(LEASE_TTL_SECONDS_MAX);
      const longest = 'k'.repeat(KEY_BYTES_MAX);
      await engine.put(longest, bytes('1'), { lease });
      const ops = Array.from({ length: LEASE_KEYS_MAX - 1 }, (_, i): Op => {
        return { type: 'put', key: `k/${i}`, value: bytes('1'), lease };
      });
      await engine.txn([], ops);
      expect(await codeOf(() => engine.put('one/more', bytes('1'), { lease }))).toBe('TooLarge');
      await engine.put(longest, bytes('2'), { lease });
      expect(await engine.leases.revoke(lease)).toBe(4);
      expect((await engine.changes(3, 1))[0]!.changes).toHaveLength(LEASE_KEYS_MAX);
      expect((await engine.stats()).keys).toBe(0);
    }),
  );
  test(
    'a closed engine refuses, and no timer is left',
    using(async (engine, clock) => {
      const lease = await engine.leases.grant(1);
      await pass(clock, 1_000);
      await engine.close();
      for (const work of [
        () => engine.leases.grant(1),
        () => engine.leases.keepAlive(lease),
        () => engine.leases.revoke(lease),
        () => engine.leases.timeToLive(lease),
        () => engine.leases.list(),
      ]) {
        expect(await codeOf(work)).toBe('Unavailable');
      }
    }),
  );
}
