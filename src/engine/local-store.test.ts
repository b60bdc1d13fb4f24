/** Goal: what the suite can't see from outside: leases left behind, a log that was compacted, a lost place, a restart. */
import { expect, it } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
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

it('tells a watch that is too slow for the log, and a new one begins with what is there', async () => {
  const engine = await openEngine({ backend: 'memory', path: 'unused' });
  const store = new LocalStore(engine);
  try {
    const watches = [store.watch('a'), store.watchTree('')].map((watch) =>
      watch[Symbol.asyncIterator](),
    );
    for (const watch of watches) await watch.next();
    for (let i = 0; i < 600; i++) await store.put('a', value);
    await engine.compact(engine.revision);
    for (const watch of watches) {
      await expect(watch.next()).rejects.toMatchObject({ code: 'Compacted' });
    }
    for await (const event of store.watch('a')) {
      expect(event).toEqual({ type: 'put', entry: await store.get('a') });
      break;
    }
  } finally {
    await store.close();
  }
});

it('tells who lost the place in the queue', async () => {
  const engine = await openEngine({ backend: 'memory', path: 'unused' });
  const store = new LocalStore(engine);
  try {
    const lock = await store.lock('l');
    const changes = engine.watch('l', { signal: new AbortController().signal });
    const waiting = store.lock('l').catch((thrown: unknown) => thrown);
    for await (const set of changes) {
      await store.delete(set.changes[0]!.kv.key);
      break;
    }
    expect(await waiting).toMatchObject({ code: 'CannotLock', retry: 'now' });
    expect(lock.lost.aborted).toBe(false);
    await lock.unlock();
  } finally {
    await store.close();
  }
});

it('gives its locks back when it closes: the next one waits for no time to live', async () => {
  const path = tempDir('local-store');
  const store = new LocalStore(await openEngine({ backend: 'sqlite', path }));
  await store.lock('l', { ttlSeconds: week.ttlSeconds });
  await store.close();
  const again = new LocalStore(await openEngine({ backend: 'sqlite', path }));
  try {
    expect(await again.list('')).toEqual({ entries: [], more: false });
  } finally {
    await again.close();
  }
});
