/** Goal: every boot volume gets its own verdict; one that hangs or fails costs the others nothing and itself its own deadline only. */
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { HoldfastError } from '../base/errors.ts';
import { bootMounts } from './boot.ts';
import type { Volume } from './volume.ts';

const DEADLINE_MS = 10_000;
const volumes = (...ids: string[]): Volume[] =>
  ids.map((id) => ({ spec: { id, name: id.toUpperCase() } }) as Volume);

describe('bootMounts', () => {
  test('a hanging one delays nobody: the others are mounted before any time passes', async () => {
    const clock = new FakeClock();
    const mounted: string[] = [];
    const mount = async (id: string): Promise<void> => {
      if (id === 'sick') await new Promise(() => undefined);
      mounted.push(id);
    };
    const verdicts = bootMounts(volumes('sick', 'a', 'b', 'c'), mount, DEADLINE_MS, clock);
    await expect.poll(() => mounted).toEqual(['a', 'b', 'c']);
    clock.advance(DEADLINE_MS);
    const [a, b, c, sick] = await verdicts;
    expect([a, b, c]).toEqual(
      ['a', 'b', 'c'].map((id) => ({ volumeId: id, name: id.toUpperCase() })),
    );
    expect(sick).toMatchObject({
      volumeId: 'sick',
      error: { code: 'DeadlineExceeded', message: 'volume "SICK" was not mounted within 10 s' },
    });
  });

  test('more sick ones than are mounted side by side: the rest still have their turn and whole deadline', async () => {
    const clock = new FakeClock();
    const sick = Array.from({ length: 8 }, (_, index) => `sick${index}`);
    const mounted: string[] = [];
    const mount = async (id: string): Promise<void> => {
      if (id.startsWith('sick')) await new Promise(() => undefined);
      mounted.push(id);
    };
    const verdicts = bootMounts(volumes(...sick, 'well'), mount, DEADLINE_MS, clock);
    await expect.poll(() => clock.sleeps.length).toBe(8);
    clock.advance(DEADLINE_MS);
    expect((await verdicts).filter(({ error }) => error)).toHaveLength(8);
    expect(mounted).toEqual(['well']);
  });

  test('an error is the verdict of its volume', async () => {
    const error = new HoldfastError('Corrupt', 'bad');
    const mount = (id: string) => (id === 'bad' ? Promise.reject(error) : Promise.resolve());
    const verdicts = await bootMounts(volumes('bad', 'good'), mount, DEADLINE_MS, new FakeClock());
    expect(verdicts).toHaveLength(2);
    expect(verdicts).toContainEqual({ volumeId: 'good', name: 'GOOD' });
    expect(verdicts).toContainEqual({ volumeId: 'bad', name: 'BAD', error });
  });

  test('no boot volumes, no verdicts', async () => {
    expect(await bootMounts([], () => Promise.reject(new Error()), 1, new FakeClock())).toEqual([]);
  });
});
