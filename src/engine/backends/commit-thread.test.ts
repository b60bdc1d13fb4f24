/**
 * Goal: the thread that commits ends when nothing is committed for a while, and is there again for the next
 * write; what was committed relaxed before still gets its sync, and nothing is lost on the way.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { openEngine } from '../index.ts';

const REST_AFTER_MS = 10_000;
const VALUE = new Uint8Array([1]);
const threads = (): number => readdirSync('/proc/self/task').length;

afterEach(() => {
  vi.useRealTimers();
});

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test('rests, and wakes', async () => {
    const folder = path.join(tempDir('thread'), 'store');
    const engine = await openEngine({ backend, path: folder });
    // The pool's threads start with the first file that is looked at without blocking.
    await engine.stats();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await engine.put('a', VALUE);
    await engine.put('b', VALUE, { durability: { relaxedMs: 60_000 } });
    const before = threads();
    await vi.advanceTimersByTimeAsync(REST_AFTER_MS - 1);
    expect(threads()).toBeGreaterThanOrEqual(before);
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    await expect.poll(threads).toBeLessThan(before);
    expect(await engine.put('c', VALUE)).toBe(3);
    expect(threads()).toBeGreaterThanOrEqual(before);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await engine.put('c', VALUE);
    await vi.advanceTimersByTimeAsync(REST_AFTER_MS);
    vi.useRealTimers();
    await expect.poll(threads).toBeLessThan(before);
    await engine.close();

    const again = await openEngine({ backend, path: folder });
    expect((await again.list('')).kvs.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
    expect(again.revision).toBe(4);
    await again.close();
  });
});
