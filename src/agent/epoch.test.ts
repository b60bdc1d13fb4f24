/** Goal: no two starts have the same epoch, and one tells whether the kernel booted between them. */
import { describe, expect, it } from 'vitest';
import { openEngine } from '../engine/index.ts';
import { beginEpoch, readBootId } from './epoch.ts';

describe('beginEpoch', () => {
  it('counts the starts of a boot, and begins again with the next boot', async () => {
    const engine = await openEngine({ backend: 'memory', path: '/none' });
    const epochs = [];
    for (const bootId of ['boot-a', 'boot-a', 'boot-b', 'boot-b']) {
      epochs.push(await beginEpoch(engine, bootId));
    }
    expect(epochs).toEqual(['boot-a.1', 'boot-a.2', 'boot-b.1', 'boot-b.2']);
    const kv = await engine.get('host/agent');
    expect(JSON.parse(Buffer.from(kv!.value).toString())).toMatchObject({
      bootId: 'boot-b',
      starts: 2,
    });
    await engine.close();
  });
});

it('the boot id is the kernel’s, the same for every reader', async () => {
  const bootId = await readBootId();
  expect(bootId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(await readBootId()).toBe(bootId);
});
