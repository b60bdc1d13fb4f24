/** Reads at an older revision: what was there then, as long as the log goes back that far. */
import { expect, test } from 'vitest';
import { PREVIOUS_BYTES_MAX } from '../../src/engine/limits.ts';
import { VALUE_BYTES_MAX, type Engine, type Op } from '../../src/engine/index.ts';
import { bytes, codeOf, fill, keysOf, neverAborted, text, type Using } from './engine-case.ts';

/** Every key with its value, as of each revision so far. */
async function told(engine: Engine, revision: number): Promise<string[]> {
  const { kvs } = await engine.list('', { revision });
  return kvs.map((kv) => `${kv.key}=${text(kv)}@${kv.modRevision}v${kv.version}`);
}

export function history(using: Using): void {
  test(
    'a key at each of its revisions',
    using(async (engine) => {
      const lease = await engine.leases.grant(60);
      await engine.put('a', bytes('1'));
      await engine.put('b', bytes('x'));
      await engine.put('a', bytes('2'), { lease });
      await engine.delete('a');
      await engine.put('a', bytes('3'));
      const at = async (revision: number): Promise<string | undefined> =>
        text(await engine.get('/a', { revision }));
      const seen = await Promise.all([0, 1, 2, 3, 4, 5].map(at));
      expect(seen).toEqual([undefined, '1', '1', '2', undefined, '3']);
      expect(await engine.get('a', { revision: 3 })).toEqual({
        key: 'a',
        value: bytes('2'),
        createRevision: 1,
        modRevision: 3,
        version: 2,
        lease,
      });
      expect(await engine.get('nothing', { revision: 2 })).toBeUndefined();
    }),
  );
  test(
    'all of the keys at each revision, range deletes and leases included',
    using(async (engine) => {
      const states: string[][] = [await told(engine, 0)];
      const lease = await engine.leases.grant(60);
      const steps = [
        () => engine.put('p/1', bytes('one')),
        () => engine.put('p/2', bytes('two'), { lease }),
        () => engine.put('q', bytes('q')),
        () => engine.put('p/1', bytes('one again')),
        () => engine.transact({ then: [{ type: 'delete', prefix: 'p' }] }),
        () => engine.put('p/1', bytes('one anew')),
        () => engine.put('p/3', bytes('three'), { lease }),
        () => engine.leases.revoke(lease),
        () => engine.delete('q'),
      ];
      for (const [i, step] of steps.entries()) {
        await step();
        states.push(await told(engine, i + 1));
      }
      for (const [revision, state] of states.entries()) {
        expect(await told(engine, revision)).toEqual(state);
      }
      expect(states[4]).toEqual(['p/1=one again@4v2', 'p/2=two@2v1', 'q=q@3v1']);
      expect(states[7]).toEqual(['p/1=one anew@6v1', 'p/3=three@7v1', 'q=q@3v1']);
      expect(states[8]).toEqual(['p/1=one anew@6v1', 'q=q@3v1']);
    }),
  );
  test(
    'pages pinned to the revision of the first fit together',
    using(async (engine) => {
      const all = Array.from({ length: 40 }, (_, i) => `p/${String(i).padStart(2, '0')}`);
      await fill(engine, [...all, 'q']);
      const first = await engine.list('p', { limit: 7 });
      const { revision } = first;
      const seen = keysOf(first.kvs);
      for (let more = first.more, i = 0; more; i += 1) {
        // Each changes what lies before, on, and behind the page.
        await engine.transact({ then: [{ type: 'delete', key: all[39 - i]! }] });
        await engine.put(`p/${i}x`, bytes('new'));
        await engine.put(all[i]!, bytes('changed'));
        const page = await engine.list('p', { after: seen.at(-1), limit: 7, revision });
        expect(page.revision).toBe(revision);
        expect(page.kvs.every((kv) => text(kv) === kv.key)).toBe(true);
        seen.push(...keysOf(page.kvs));
        ({ more } = page);
      }
      expect(seen).toEqual(all);
      expect((await engine.list('p', { revision, limit: 40 })).more).toBe(false);
      expect((await engine.list('p', { revision, limit: 39 })).more).toBe(true);
    }),
  );
  test(
    'keys that came since take no room on the page, those that went are on it',
    using(async (engine) => {
      await fill(engine, ['p/5', 'p/6', 'p/7']);
      await fill(engine, ['p/0', 'p/1', 'p/2', 'p/3', 'p/4', 'p/8']);
      await engine.delete('p/6');
      const at = (limit: number, after?: string) => engine.list('p', { revision: 3, limit, after });
      expect(keysOf((await at(1)).kvs)).toEqual(['p/5']);
      expect(keysOf((await at(2, 'p/2')).kvs)).toEqual(['p/5', 'p/6']);
      expect(await at(1, 'p/6')).toMatchObject({ kvs: [{ key: 'p/7' }], more: false });
    }),
  );
  test(
    'a revision to come, or none at all',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      for (const revision of [2, -1, 0.5, Number.NaN]) {
        expect(await codeOf(() => engine.get('a', { revision }))).toBe('InvalidArgument');
        expect(await codeOf(() => engine.list('', { revision }))).toBe('InvalidArgument');
      }
    }),
  );
  test(
    'from the compacted revision on, not below',
    using(async (engine) => {
      for (let i = 1; i <= 6; i += 1) await engine.put(i % 2 ? 'a' : 'b', bytes(`${i}`));
      const before = await told(engine, 3);
      await engine.compact(3);
      expect(await told(engine, 3)).toEqual(before);
      expect(text(await engine.get('b', { revision: 3 }))).toBe('2');
      expect(await codeOf(() => engine.get('b', { revision: 2 }))).toBe('Compacted');
      expect(await codeOf(() => engine.list('', { revision: 2 }))).toBe('Compacted');
      await engine.compact(6);
      expect(await told(engine, 6)).toEqual(['a=5@5v3', 'b=6@6v3']);
    }),
  );
  test(
    'a list names the revision at which it is true, also while others write',
    using(async (engine) => {
      let writing = true;
      const writer = (async () => {
        for (let i = 0; writing; i += 1) {
          await Promise.all([engine.put('n/1', bytes(`${i}`)), engine.put('n/2', bytes(`${i}`))]);
        }
      })();
      for (let i = 0; i < 50; i += 1) {
        const { kvs, revision } = await engine.list('n');
        const newest = Math.max(0, ...kvs.map(({ modRevision }) => modRevision));
        expect(newest).toBe(revision);
        const again = await engine.list('n', { revision });
        expect(again.kvs).toEqual(kvs);
        await new Promise((resolve) => setImmediate(resolve));
      }
      writing = false;
      await writer;
    }),
  );
  test(
    'a long log is read in steps while others write, and the answer is of its revision',
    using(async (engine) => {
      await fill(engine, ['k/0', 'k/1', 'k/2', 'quiet']);
      const { revision, kvs } = await engine.list('');
      let writing = true;
      const writers = Array.from({ length: 8 }, async (_, n) => {
        while (writing) await engine.put(`k/${n}`, new Uint8Array(100));
      });
      await Promise.all(
        Array.from({ length: 3000 }, (_, i) => engine.put(`k/${i % 9}`, bytes('x'))),
      );
      expect((await engine.list('', { revision })).kvs).toEqual(kvs);
      expect(await engine.get('k/1', { revision })).toEqual(kvs[1]);
      expect(await engine.get('k/7', { revision })).toBeUndefined();
      expect(await engine.get('quiet', { revision })).toEqual(kvs[3]);
      writing = false;
      await Promise.all(writers);
    }),
  );
  test(
    'values too large for one log record are told to be gone, others are not',
    using(async (engine) => {
      const value = new Uint8Array(VALUE_BYTES_MAX - 100);
      const keys = Array.from(
        { length: PREVIOUS_BYTES_MAX / VALUE_BYTES_MAX + 2 },
        (_, i) => `${i}`,
      );
      for (const key of keys) await engine.put(key, value);
      const { revision } = engine;
      const ops = keys.map((key): Op => ({ type: 'delete', key }));
      await engine.txn([], ops);
      expect(await engine.get('0', { revision })).toMatchObject({ modRevision: 1 });
      expect(await codeOf(() => engine.get(keys.at(-1)!, { revision }))).toBe('Compacted');
      expect(await codeOf(() => engine.list('', { revision }))).toBe('Compacted');
      expect((await engine.list({ key: '0' }, { revision })).kvs).toHaveLength(1);
      expect((await engine.list('', { revision: revision + 1 })).kvs).toEqual([]);
      const watch = { from: revision + 1, previousValues: true, signal: neverAborted() };
      for await (const { changes } of engine.watch('', watch)) {
        const known = changes.filter(({ previous }) => previous !== undefined);
        expect(known.length).toBe(PREVIOUS_BYTES_MAX / VALUE_BYTES_MAX);
        break;
      }
    }),
  );
}
