/**
 * The contract of elections as tests: the story of src/engine/election.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  campaign,
  lead,
  leaderOf,
  observe,
  type Engine,
  type Leader,
  type NoLeader,
} from '../../src/engine/index.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { bytes, codeOf } from './engine-case.ts';
import type { OpenWithClock } from './leases.ts';

const NAME = 'elections/boss';

const told = (leader: Leader | NoLeader | undefined): string =>
  leader?.value ? new TextDecoder().decode(leader.value) : 'nobody';

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await nextTurn();
}

type Using = (work: (engine: Engine) => Promise<void>) => () => Promise<void>;

export function electionContract(name: string, open: OpenWithClock): void {
  const using: Using = (work) => async () => {
    const engine = await open(new FakeClock());
    try {
      await work(engine);
    } finally {
      await engine.close();
    }
  };
  describe(`election contract: ${name}`, () => {
    describe('campaign, observe, resign', () => {
      observing(using);
    });
    describe('to lead', () => {
      leading(using);
    });
  });
}

function observing(using: Using): void {
  test(
    'who observes sees each leader and each of its values, in order, and no waiter',
    using(async (engine) => {
      const seen: (Leader | NoLeader)[] = [];
      const abort = new AbortController();
      const reading = (async () => {
        for await (const leader of observe(engine, NAME, abort.signal)) seen.push(leader);
      })();
      await until(() => seen.length === 1);
      const a = await campaign(engine, NAME, bytes('a'));
      expect(told(await leaderOf(engine, NAME))).toBe('a');
      const b = campaign(engine, NAME, bytes('b'));
      await until(async () => (await engine.list(NAME)).kvs.length === 2);
      const changed = await a.setValue(bytes('a2'));
      await a.unlock();
      const second = await b;
      await second.unlock();
      await until(() => told(seen.at(-1)) === 'nobody' && seen.length > 1);
      abort.abort();
      await reading;
      expect(seen.map(told)).toEqual(['nobody', 'a', 'a2', 'b', 'nobody']);
      expect(seen.map(({ revision }) => revision)).toEqual([
        0,
        a.fence,
        changed,
        changed + 1,
        changed + 2,
      ]);
      expect(seen.map((leader) => leader.value && leader.fence)).toEqual([
        undefined,
        a.fence,
        a.fence,
        second.fence,
        undefined,
      ]);
      expect(await leaderOf(engine, NAME)).toBeUndefined();
    }),
  );
  test(
    'a slow observer misses nothing',
    using(async (engine) => {
      const leader = await campaign(engine, NAME, bytes('0'));
      const observing = observe(engine, NAME, new AbortController().signal);
      const seen = [told((await observing.next()).value)];
      for (let i = 1; i <= 600; i += 1) await leader.setValue(bytes(`${i}`));
      while (seen.length <= 600) seen.push(told((await observing.next()).value));
      await observing.return(undefined);
      expect(seen).toEqual(Array.from({ length: 601 }, (_, i) => `${i}`));
      await leader.unlock();
    }),
  );
  test(
    'who comes late begins with who leads',
    using(async (engine) => {
      const leader = await campaign(engine, NAME, bytes('a'));
      await engine.put('other', bytes('1'));
      const observing = observe(engine, NAME, new AbortController().signal);
      expect((await observing.next()).value).toEqual({
        revision: leader.fence,
        fence: leader.fence,
        value: bytes('a'),
      });
      await observing.return(undefined);
      await leader.unlock();
    }),
  );
}

function leading(using: Using): void {
  test(
    'after a loss it campaigns again, and the signal ends it',
    using(async (engine) => {
      const abort = new AbortController();
      const fences: number[] = [];
      const { signal } = abort;
      const leading = lead(engine, NAME, bytes('me'), { signal }, async ({ fence, key }, lost) => {
        fences.push(fence);
        if (fences.length === 3) abort.abort();
        else if (fences.length === 1) await engine.delete(key);
        else await engine.leases.revoke((await engine.get(key))!.lease!);
        await until(() => lost.aborted);
        throw new Error('what was under way is given up');
      });
      await leading;
      expect(fences).toHaveLength(3);
      expect(fences).toEqual(fences.toSorted((a, b) => a - b));
      expect((await engine.list('')).kvs).toEqual([]);
      expect(await engine.leases.list()).toEqual([]);
    }),
  );
  test(
    'the signal ends a candidate that never led',
    using(async (engine) => {
      const leader = await campaign(engine, NAME, bytes('a'));
      const abort = new AbortController();
      const { signal } = abort;
      const never = lead(engine, NAME, bytes('b'), { signal }, () => Promise.reject(new Error()));
      await until(async () => (await engine.list(NAME)).kvs.length === 2);
      abort.abort();
      await never;
      expect(told(await leaderOf(engine, NAME))).toBe('a');
      await leader.unlock();
      expect(await engine.leases.list()).toEqual([]);
    }),
  );
  test(
    'work that is done resigns, work that fails resigns and is told',
    using(async (engine) => {
      const { signal } = new AbortController();
      await lead(engine, NAME, bytes('me'), { signal }, async () => {
        expect(told(await leaderOf(engine, NAME))).toBe('me');
      });
      expect(await leaderOf(engine, NAME)).toBeUndefined();
      const failing = (): Promise<void> => Promise.reject(new Error('broken'));
      await expect(lead(engine, NAME, bytes('me'), { signal }, failing)).rejects.toThrow('broken');
      expect(await leaderOf(engine, NAME)).toBeUndefined();
    }),
  );
  test(
    'a closed engine is told',
    using(async (engine) => {
      const { signal } = new AbortController();
      const ended = codeOf(() =>
        lead(engine, NAME, bytes('me'), { signal }, async (_, lost) => {
          void engine.close();
          await until(() => lost.aborted);
        }),
      );
      expect(await ended).toBe('Unavailable');
    }),
  );
}
