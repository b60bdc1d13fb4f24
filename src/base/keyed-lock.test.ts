/** Goal: one key is served one at a time and in order, keys never wait for each other, nothing is left behind. */
import { describe, expect, it } from 'vitest';
import { KeyedLock } from './keyed-lock.ts';

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

describe('KeyedLock', () => {
  it('runs work on one key in the order it came', async () => {
    const lock = new KeyedLock();
    const gate = deferred();
    const seen: number[] = [];
    const all = [
      lock.run('a', async () => {
        await gate.promise;
        seen.push(1);
      }),
      lock.run('a', async () => void seen.push(2)),
      lock.run('a', async () => void seen.push(3)),
    ];
    gate.resolve();
    await Promise.all(all);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('lets another key pass a slow one', async () => {
    const lock = new KeyedLock();
    const gate = deferred();
    const slow = lock.run('a', () => gate.promise);
    await lock.run('b', async () => undefined);
    expect([lock.holds('a'), lock.holds('b')]).toEqual([true, false]);
    gate.resolve();
    await slow;
  });

  it('goes on after a failure and forgets idle keys', async () => {
    const lock = new KeyedLock();
    const failed = lock.run('a', async () => {
      throw new Error('no');
    });
    const next = lock.run('a', async () => 'yes');
    await expect(failed).rejects.toThrow('no');
    await expect(next).resolves.toBe('yes');
    expect(lock.size).toBe(0);
  });
});
