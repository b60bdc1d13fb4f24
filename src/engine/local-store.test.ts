/** Goal: time to live leaves no leases behind, however a key comes to its end. */
import { expect, it } from 'vitest';
import { LocalStore, openEngine } from './index.ts';

const value = new Uint8Array(1);
const week = { ttlSeconds: 7 * 24 * 3600 };

it('ends the lease of what is written again, deleted, or was refused', async () => {
  const engine = await openEngine({ backend: 'memory', path: 'unused' });
  const store = new LocalStore(engine);
  const leases = async (): Promise<number> => (await engine.leases.list()).length;
  try {
    for (let i = 0; i < 5; i++) await store.put('a', value, week);
    expect(await leases()).toBe(1);
    await expect(store.atomicPut('a', value, null, week)).rejects.toMatchObject({
      code: 'KeyExists',
    });
    expect(await leases()).toBe(1);
    await store.put('a', value);
    expect(await leases()).toBe(0);
    await store.put('a', value, week);
    await store.delete('a');
    await store.atomicDelete('b', await store.atomicPut('b', value, null, week));
    await store.put('t', value, week);
    await store.put('t/x', value, week);
    await store.deleteTree('t');
    expect(await leases()).toBe(0);
  } finally {
    await store.close();
  }
});

it("leaves another holder's lease alone", async () => {
  const engine = await openEngine({ backend: 'memory', path: 'unused' });
  const store = new LocalStore(engine);
  try {
    const lease = await engine.leases.grant(60);
    await engine.put('a', value, { lease });
    await store.put('other', value, week);
    await store.put('a', value);
    expect((await engine.leases.timeToLive(lease)).keys).toEqual([]);
  } finally {
    await store.close();
  }
});
