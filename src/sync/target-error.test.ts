/** Goal: a target that ignores the signal holds up nobody, and what it does later disturbs nobody. */
import { expect, it } from 'vitest';
import { HoldfastError } from '../base/errors.ts';
import { ask, askEach, TargetError } from './target-error.ts';

const never = new AbortController().signal;

it("passes an answer on, and marks a failure as the target's", async () => {
  await expect(ask(Promise.resolve(1), never)).resolves.toBe(1);
  const failed = ask(Promise.reject(new HoldfastError('NoSpace', 'full')), never);
  await expect(failed).rejects.toBeInstanceOf(TargetError);
  await expect(failed).rejects.toMatchObject({ error: { code: 'NoSpace' } });
  const strange = ask(Promise.reject(new Error('what?')), never);
  await expect(strange).rejects.toMatchObject({ error: { code: 'Internal', message: 'what?' } });
});

it('ends with the signal though the target never answers, or fails only after it', async () => {
  const stop = new AbortController();
  let failLate = (_: Error): void => undefined;
  const late = new Promise<never>((_, reject) => {
    failLate = reject;
  });
  const asked = ask(late, stop.signal);
  stop.abort();
  await expect(asked).rejects.toMatchObject({ error: { code: 'Cancelled' } });
  // vitest fails the run on an unhandled rejection.
  failLate(new Error('too late'));
  const silent = new Promise<never>(() => undefined);
  await expect(ask(silent, AbortSignal.abort())).rejects.toMatchObject({
    error: { code: 'Cancelled' },
  });
});

it('does the same for each page', async () => {
  async function* pages(): AsyncGenerator<number> {
    yield 1;
    throw new HoldfastError('NotReachable', 'gone');
  }
  const seen: number[] = [];
  const reading = (async () => {
    for await (const page of askEach(pages(), never)) seen.push(page);
  })();
  await expect(reading).rejects.toMatchObject({ error: { code: 'NotReachable' } });
  expect(seen).toEqual([1]);
});
