/** Goal: the lag is exact for what was watched, an upper bound before that, and 0 when all is delivered. */
import { expect, it } from 'vitest';
import { LagMeter } from './lag-meter.ts';

it('counts revisions that matter and forgets those delivered', () => {
  const lag = new LagMeter();
  lag.startWatching(0);
  lag.saw(1, true);
  lag.saw(2, false);
  lag.saw(3, true);
  expect(lag.revisions).toBe(2);
  lag.moved(2, 1);
  expect([lag.position, lag.revisions]).toEqual([2, 1]);
  lag.moved(3, 1);
  expect([lag.position, lag.revisions]).toEqual([3, 0]);
});

it('does not count what was delivered before the watch told of it', () => {
  const lag = new LagMeter();
  lag.startWatching(0);
  lag.moved(5, 5);
  for (let revision = 1; revision <= 5; revision++) lag.saw(revision, true);
  expect(lag.revisions).toBe(0);
  lag.saw(6, true);
  expect(lag.revisions).toBe(1);
});

it('counts what the watch has not shown yet, as it may matter', () => {
  const lag = new LagMeter();
  lag.startWatching(3);
  lag.moved(3, 0);
  expect(lag.revisionsUpTo(4)).toBe(1);
  lag.saw(4, false);
  expect(lag.revisionsUpTo(4)).toBe(0);
  lag.moved(6, 2);
  expect(lag.revisionsUpTo(7)).toBe(1);
});

it('counts every revision before the watch began, until they are passed', () => {
  const lag = new LagMeter();
  lag.startWatching(100);
  lag.moved(40, 0);
  expect(lag.revisions).toBe(60);
  lag.saw(101, true);
  expect(lag.revisions).toBe(61);
  lag.moved(101, 3);
  expect(lag.revisions).toBe(0);
});

it('starts again further back, all in between counted', () => {
  const lag = new LagMeter();
  lag.startWatching(0);
  lag.saw(10, true);
  lag.moved(10, 1);
  lag.restarted(4);
  expect([lag.position, lag.revisions]).toEqual([4, 6]);
  lag.moved(10, 2);
  expect(lag.revisions).toBe(0);
});
