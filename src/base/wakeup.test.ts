/** Goal: a ring is never lost, many are one, and a wait ends with its time or its signal and leaves nothing behind. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemClock } from './clock.ts';
import { Wakeup } from './wakeup.ts';

describe('Wakeup', () => {
  it('wakes who waits, and whoever comes after the ring, once', async () => {
    const bell = new Wakeup();
    const { signal } = new AbortController();
    const waiting = bell.wait(undefined, systemClock, signal);
    bell.ring();
    await waiting;
    bell.ring();
    bell.ring();
    await bell.wait(undefined, systemClock, signal);
    let woken = false;
    const third = bell.wait(undefined, systemClock, signal).then(() => (woken = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toBe(false);
    bell.ring();
    await third;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('ends with its time and with its signal', async () => {
    const bell = new Wakeup();
    const controller = new AbortController();
    await bell.wait(1, systemClock, controller.signal);
    const waiting = bell.wait(undefined, systemClock, controller.signal);
    controller.abort();
    await waiting;
    await expect(bell.wait(undefined, systemClock, controller.signal)).resolves.toBeUndefined();
  });
});
