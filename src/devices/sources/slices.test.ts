/** Goal: nobody else on the main loop waits for the end of a long walk. */
import { expect, it } from 'vitest';
import { Slices } from './slices.ts';

function busyFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

it('lets others have the loop once a slice is used up', async () => {
  const slices = new Slices();
  let turned = false;
  setImmediate(() => (turned = true));
  await slices.breathe();
  busyFor(10);
  await slices.breathe();
  expect(turned).toBe(true);
});
