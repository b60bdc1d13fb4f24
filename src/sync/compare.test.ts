/** Goal: what `differences` yields makes the remote side equal, and no more; a side out of order throws. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../engine/index.ts';
import { differences, replicatedEntries } from './compare.ts';
import type { Mutation, RemoteEntry } from './target.ts';

/* Beyond the basic plane JavaScript's order is not that of bytes: U+FF5E before U+1F600 in UTF-8 only. */
const key = fc.constantFrom('a', 'a/b', 'a0', 'b', 'ü', '日本', '\uff5e', '😀', '😀/x');
const side = fc.dictionary(key, fc.uint8Array({ maxLength: 2 }));

const byBytes = (a: RemoteEntry, b: RemoteEntry): number =>
  Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));

function sorted(drawn: Record<string, Uint8Array>): RemoteEntry[] {
  return Object.entries(drawn)
    .map(([name, value]) => ({ key: name, value }))
    .toSorted(byBytes);
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('differences', () => {
  it('applied to the remote side make it equal to the local one, and touch no equal key', async () => {
    await fc.assert(
      fc.asyncProperty(side, side, async (local, remote) => {
        const found = await collect(differences(each(sorted(local)), each(sorted(remote))));
        const target = new Map<string, Uint8Array>(Object.entries(remote));
        for (const mutation of found) {
          const before = target.get(mutation.key);
          if (mutation.type === 'put') {
            expect(before && Buffer.compare(before, mutation.value)).not.toBe(0);
            target.set(mutation.key, mutation.value);
          } else expect(target.delete(mutation.key)).toBe(true);
        }
        expect(target).toEqual(new Map(Object.entries(local)));
        const keys = found.map((mutation: Mutation) => ({
          key: mutation.key,
          value: new Uint8Array(),
        }));
        expect(keys).toEqual(keys.toSorted(byBytes));
      }),
    );
  });

  it.each(['local', 'remote'])(
    'throws when the %s side is out of order or names a key twice',
    async (which) => {
      const value = new Uint8Array();
      for (const keys of [
        ['b', 'a'],
        ['a', 'a'],
        ['😀', '\uff5e'],
      ]) {
        const bad = keys.map((name) => ({ key: name, value }));
        const [local, remote] = which === 'local' ? [bad, []] : [[], bad];
        await expect(collect(differences(each(local), each(remote)))).rejects.toThrow(
          `${which} keys are not in byte order`,
        );
      }
    },
  );

  it('ends both sides when its reader leaves', async () => {
    const ended: string[] = [];
    async function* endless(name: string): AsyncGenerator<RemoteEntry> {
      try {
        for (let n = 0; ; n++)
          yield { key: `${name}/${String(n).padStart(6, '0')}`, value: new Uint8Array() };
      } finally {
        ended.push(name);
      }
    }
    for await (const { key: name } of differences(endless('a'), endless('b'))) {
      expect(name).toBe('a/000000');
      break;
    }
    expect(ended.toSorted()).toEqual(['a', 'b']);
  });
});

describe('replicatedEntries', () => {
  it('reads every replicated key in byte order, over pages', async () => {
    const engine = await openEngine({ backend: 'memory', path: '' });
    const expected: string[] = [];
    for (const prefix of ['kv', 'devices', 'volumes', 'host', 'snapshots']) {
      for (const name of ['😀', '\uff5e', ...Array.from({ length: 60 }, (_, n) => `${n}`)]) {
        await engine.put(`${prefix}/${name}`, Buffer.from(name));
        expected.push(`${prefix}/${name}`);
      }
    }
    for (const name of ['events/1', 'journal/1', 'kvx/1']) await engine.put(name, new Uint8Array());
    const entries = await collect(replicatedEntries(engine));
    expect(entries.map((entry) => entry.key).toSorted()).toEqual(expected.toSorted());
    expect(await collect(differences(each(entries), each(entries)))).toEqual([]);
    await engine.close();
  });
});
