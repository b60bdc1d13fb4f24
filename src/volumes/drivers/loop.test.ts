/** Goal: a redone create deletes what its interrupted run made, and nothing that is in use. */
import { expect, it } from 'vitest';
import type { HostOps, LoopFacts } from '../hostops.ts';
import type { Volume } from '../volume.ts';
import { LoopDriver } from './loop.ts';

const attached = { path: '/dev/loop7', backingFile: '/images/v.img' } as LoopFacts;

it('a redone create throws away the image of its interrupted run', async () => {
  expect(await redoAllocate([])).toEqual(['unlink /images/v.img', 'create /images/v.img']);
});

it('a redone create leaves an image that is attached alone', async () => {
  await expect(redoAllocate([attached])).rejects.toMatchObject({ code: 'Conflict' });
});

/** @returns what was done to files */
async function redoAllocate(loops: readonly LoopFacts[]): Promise<string[]> {
  const acts: string[] = [];
  const hostOps = {
    realPath: async (path: string) => path,
    ensureDirectory: async () => undefined,
    inspect: async () => undefined,
    loops: async () => loops,
    unlink: async (path: string) => void acts.push(`unlink ${path}`),
    createImage: async ({ path }: { path: string }) => {
      acts.push(`create ${path}`);
      return { dev: 1, ino: 1 };
    },
  } as unknown as HostOps;
  const driver = new LoopDriver({ hostOps, mountRoot: '/mounts', bootId: 'boot' });
  await driver.run('allocate-image', {
    kind: 'create',
    volume: { spec: { id: 'v', sizeBytes: 4096 } } as Volume,
    service: { name: 'images', driver: 'loop', path: '/images' },
    redo: true,
    signal: new AbortController().signal,
    found: {},
  });
  return acts;
}
