/** Goal: a ring is never lost and never kept too long: it wakes who waits, or the next one who would. */
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { Wakeup } from './wakeup.ts';

const never = new AbortController().signal;

it('a ring before the wait ends the next wait at once, and only that', async () => {
  const [wakeup, clock] = [new Wakeup(), new FakeClock()];
  wakeup.ring();
  wakeup.ring();
  await wakeup.wait(1000, clock, never);
  let woken = false;
  const waiting = wakeup.wait(1000, clock, never).then(() => (woken = true));
  await Promise.resolve();
  expect([woken, clock.sleeps]).toEqual([false, [1000]]);
  clock.advance(1000);
  await waiting;
});

it('a ring while waiting, or an abort, ends the wait and leaves no timer', async () => {
  const [wakeup, clock] = [new Wakeup(), new FakeClock()];
  const first = wakeup.wait(1000, clock, never);
  wakeup.ring();
  await first;
  const stop = new AbortController();
  const second = wakeup.wait(1000, clock, stop.signal);
  stop.abort();
  await second;
  await wakeup.wait(1000, clock, stop.signal);
  expect(clock.sleeps).toEqual([]);
});

it('waits without a timer when no time is given, and leaves nothing on the signal', async () => {
  const [wakeup, clock] = [new Wakeup(), new FakeClock()];
  const waiting = wakeup.wait(undefined, clock, never);
  expect(clock.sleeps).toEqual([]);
  wakeup.ring();
  await waiting;
  expect(getEventListeners(never, 'abort')).toEqual([]);
});
