/** Goal: parts that run together end together, the first failure is what is thrown, nothing is left at work. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { together, untilAborted } from './abort.ts';

describe('together', () => {
  it('ends the others with the first failure, and waits for them', async () => {
    let ended = false;
    const running = together(new AbortController().signal, [
      async () => Promise.reject(new Error('first')),
      async (signal) => {
        await untilAborted(signal);
        await Promise.resolve();
        ended = true;
        throw new Error('second');
      },
    ]);
    await expect(running).rejects.toThrow('first');
    expect(ended).toBe(true);
  });

  it('ends with its signal, even one that aborted before', async () => {
    const controller = new AbortController();
    const running = together(controller.signal, [untilAborted]);
    controller.abort();
    await running;
    await expect(together(controller.signal, [untilAborted])).resolves.toBeUndefined();
  });

  it('leaves no listener on a signal that lives on', async () => {
    const { signal } = new AbortController();
    await together(signal, [async () => undefined, untilAborted]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
