/** Goal: the armed step kills, at its side only, and outside of tests there is no hook at all. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { failpoint } from './failpoint.ts';

it('is not there when nothing is armed', () => {
  expect([failpoint({}), failpoint({ HOLDFAST_FAILPOINT: '' })]).toEqual([undefined, undefined]);
});

it('kills this process by SIGKILL at the armed step', () => {
  const kill = vi.spyOn(process, 'kill').mockImplementation(() => true);
  onTestFinished(() => kill.mockRestore());
  const hook = failpoint({ HOLDFAST_FAILPOINT: 'create/format:after' })!;
  hook('create', 'format', 'before');
  hook('create', 'formats', 'after');
  hook('remove', 'format', 'after');
  expect(kill).not.toHaveBeenCalled();
  hook('create', 'format', 'after');
  expect(kill.mock.calls).toEqual([[process.pid, 'SIGKILL']]);
});
