/** Goal: parts that run together end together, the first failure is what is thrown, nothing is left at work. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { together, unlessAborted, untilAborted } from './abort.ts';

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

describe('unlessAborted', () => {
  it('gives what the work gives, and throws what it throws', async () => {
    const { signal } = new AbortController();
    expect(await unlessAborted(undefined, async () => 1)).toBe(1);
    expect(await unlessAborted(signal, async () => 2)).toBe(2);
    const failing = async (): Promise<never> => Promise.reject(new Error('boom'));
    await expect(unlessAborted(signal, failing)).rejects.toThrow('boom');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('begins nothing once aborted', async () => {
    let begun = false;
    const work = async (): Promise<void> => {
      begun = true;
    };
    await expect(unlessAborted(AbortSignal.abort(), work)).rejects.toMatchObject({
      code: 'Cancelled',
    });
    expect(begun).toBe(false);
  });

  it('does not wait for work that never ends', async () => {
    const abort = new AbortController();
    const given = unlessAborted(abort.signal, () => new Promise(() => {}));
    abort.abort();
    await expect(given).rejects.toMatchObject({ code: 'Cancelled' });
    const late = unlessAborted(AbortSignal.timeout(1), () => new Promise(() => {}));
    await expect(late).rejects.toMatchObject({ code: 'DeadlineExceeded' });
  });
});
