/** Goal: waits grow to the cap and no further, jitter covers the whole range, reset starts over. */
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.ts';

describe('Backoff', () => {
  it('doubles its ceiling up to the cap', () => {
    const backoff = new Backoff(100, 1_000, () => 1);
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
  });

  it('starts from zero: full jitter, not half', () => {
    const backoff = new Backoff(100, 1_000, () => 0);
    expect([backoff.next(), backoff.next()]).toEqual([0, 0]);
  });

  it('starts over after a success', () => {
    const backoff = new Backoff(100, 1_000, () => 1);
    for (let i = 0; i < 5; i += 1) backoff.next();
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });
});
