/** Goal: a volume finds the service that it was made with, and no other of the same name. */
import { expect, test } from 'vitest';
import { Services } from './services.ts';
import type { VolumeSpec } from './volume.ts';

const DIR = { name: 's', driver: 'dir', path: '/d' } as const;
const spec = (driver: 'dir' | 'loop') => ({ name: 'v', service: 's', driver }) as VolumeSpec;

test('by name and driver', () => {
  const services = new Services([DIR]);
  expect(services.of(spec('dir'))).toEqual(DIR);
  expect(() => services.of(spec('loop'))).toThrow(
    expect.objectContaining({
      code: 'Unavailable',
      message: expect.stringMatching(/"v".*loop/) as string,
    }),
  );
});

test('one that is added is there from then on; the list given at first is not ours to change', () => {
  const given = [DIR];
  const services = new Services(given);
  services.add({ ...DIR, driver: 'loop' });
  expect(services.of(spec('loop')).driver).toBe('loop');
  expect(given).toHaveLength(1);
  expect(services.list).toHaveLength(2);
});
