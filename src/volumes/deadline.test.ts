/** Goal: waiting ends with the work or at the deadline, whichever is first, and leaves no timer; side by side means at most so many. */
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { inParallel, within } from './deadline.ts';

const late = (): Error => new Error('late');

describe('within', () => {
  test('the work first: its value, and no timer left', async () => {
    const clock = new FakeClock();
    expect(await within(Promise.resolve(7), 1000, clock, late)).toBe(7);
    expect(clock.sleeps).toEqual([]);
  });

  test('its error, as it is', async () => {
    const clock = new FakeClock();
    await expect(within(Promise.reject(new Error('x')), 1000, clock, late)).rejects.toThrow('x');
    expect(clock.sleeps).toEqual([]);
  });

  test('the deadline first: late, and what the work says afterwards harms nobody', async () => {
    const clock = new FakeClock();
    let fail = (_: Error): void => undefined;
    const work = new Promise<void>((_, reject) => (fail = reject));
    const waiting = within(work, 1000, clock, late);
    clock.advance(999);
    clock.advance(1);
    await expect(waiting).rejects.toThrow('late');
    fail(new Error('nobody listens'));
  });
});

describe('inParallel', () => {
  test('all of them, at most `width` at a time', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await inParallel([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
      done.push(item);
    });
    expect(most).toBe(3);
    expect(done.toSorted((left, right) => left - right)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});
