/**
 * Goal: whatever order of coming, giving up, unlocking and taking away by force, the lock's queue is the
 * one of a plain list: its first has the lock, its fence is higher than any before, and what left is gone.
 * Method: fast-check makes the sequences; after each step the engine is held against the list.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { acquireLock, openEngine, type Engine, type HeldLock } from './index.ts';
import { inOrder } from './ticket.ts';

const RUNS = 60;
const NAME = 'lock';

type Step =
  | { readonly type: 'come' }
  | { readonly type: 'unlock' }
  /** `place` counts from the end of the queue round. */
  | { readonly type: 'give up' | 'delete' | 'revoke'; readonly place: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ type: 'come' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'unlock' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('give up' as const, 'delete' as const, 'revoke' as const),
      place: fc.nat(5),
    }),
  },
);

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await nextTurn();
}

/** One who wants the lock. */
class Candidate {
  readonly id: number;
  readonly #abort = new AbortController();
  readonly ended: Promise<void>;
  held: HeldLock | undefined;

  constructor(engine: Engine, id: number) {
    this.id = id;
    const value = Uint8Array.of(id % 256, id >> 8);
    const { signal } = this.#abort;
    this.ended = acquireLock(engine, NAME, { value, signal, clock: new FakeClock() }).then(
      (lock) => {
        this.held = lock;
      },
      () => undefined,
    );
  }

  async giveUp(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }
}

async function idsInQueue(engine: Engine): Promise<number[]> {
  const { kvs } = await engine.list(NAME);
  return inOrder(NAME, kvs).map(({ value }) => value[0]! + value[1]! * 256);
}

async function leave(engine: Engine, queue: Candidate[], step: Step): Promise<void> {
  if (step.type === 'come' || queue.length === 0) return;
  const place = step.type === 'unlock' ? 0 : step.place % queue.length;
  const candidate = queue[place]!;
  const ticket = inOrder(NAME, (await engine.list(NAME)).kvs)[place]!;
  // Who holds it has nothing to give up.
  if (step.type === 'give up' && candidate.held) return;
  queue.splice(place, 1);
  if (step.type === 'unlock') await candidate.held!.unlock();
  else if (step.type === 'give up') await candidate.giveUp();
  else if (step.type === 'delete') await engine.delete(ticket.key);
  else await engine.leases.revoke(ticket.lease!);
  if (!candidate.held || step.type === 'unlock') return;
  await until(() => candidate.held!.lost.aborted);
  await candidate.held.unlock();
}

test('any sequence gives the queue of a plain list', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const engine = await openEngine({ backend: 'memory', path: '', clock: new FakeClock() });
      const queue: Candidate[] = [];
      let fence = 0;
      try {
        for (const [id, next] of steps.entries()) {
          if (next.type === 'come') queue.push(new Candidate(engine, id));
          else await leave(engine, queue, next);
          await until(async () => (await idsInQueue(engine)).length === queue.length);
          expect(await idsInQueue(engine)).toEqual(queue.map((one) => one.id));
          const [first, ...others] = queue;
          await until(() => !first || first.held !== undefined);
          expect(others.every((one) => one.held === undefined)).toBe(true);
          if (!first) continue;
          expect(first.held!.fence).toBeGreaterThanOrEqual(fence);
          expect(first.held!.lost.aborted).toBe(false);
          ({ fence } = first.held!);
        }
        for (const one of queue.toReversed()) await (one.held ? one.held.unlock() : one.giveUp());
        expect((await engine.list('')).kvs).toEqual([]);
        await until(async () => (await engine.leases.list()).length === 0);
      } finally {
        await engine.close();
      }
    }),
    { numRuns: RUNS },
  );
});
