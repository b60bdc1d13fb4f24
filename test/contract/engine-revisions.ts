/** Revisions and conditions: compare-and-swap, and transactions of all or nothing. */
import { expect, test } from 'vitest';
import { TXN_OPS_MAX, VALUE_BYTES_MAX, type Op } from '../../src/engine/index.ts';
import { bytes, codeOf, text, type Using } from './engine-case.ts';

export function revisions(using: Using): void {
  test(
    'compare-and-swap',
    using(async (engine) => {
      expect(await engine.put('a', bytes('1'), { ifRevision: 0 })).toBe(1);
      expect(await codeOf(() => engine.put('a', bytes('2'), { ifRevision: 0 }))).toBe('KeyExists');
      expect(await codeOf(() => engine.put('a', bytes('2'), { ifRevision: 9 }))).toBe(
        'KeyModified',
      );
      expect(await codeOf(() => engine.put('b', bytes('2'), { ifRevision: 1 }))).toBe(
        'KeyModified',
      );
      expect(await engine.put('a', bytes('2'), { ifRevision: 1 })).toBe(2);
      expect(await codeOf(() => engine.delete('a', { ifRevision: 1 }))).toBe('KeyModified');
      expect(await engine.delete('a', { ifRevision: 2 })).toBe(3);
      expect(await codeOf(() => engine.put('a', bytes('3'), { ifRevision: -1 }))).toBe(
        'InvalidArgument',
      );
      expect(engine.revision).toBe(3);
    }),
  );
  test(
    'of many concurrent creators one wins',
    using(async (engine) => {
      const codes = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          codeOf(() => engine.put('lock', bytes(`${i}`), { ifRevision: 0 })),
        ),
      );
      expect(codes.filter((code) => code === 'none')).toHaveLength(1);
      expect(codes.filter((code) => code === 'KeyExists')).toHaveLength(49);
      expect(engine.revision).toBe(1);
    }),
  );
  test(
    'concurrent increments lose none',
    using(async (engine) => {
      const increment = async (): Promise<void> => {
        for (;;) {
          const now = await engine.get('n');
          const next = bytes(String(Number(text(now) ?? '0') + 1));
          const done = codeOf(() => engine.put('n', next, { ifRevision: now?.modRevision ?? 0 }));
          if ((await done) === 'none') return;
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      expect(await engine.get('n')).toMatchObject({ version: 20, modRevision: 20 });
    }),
  );
  test(
    'concurrent writes each take their own revision, in order',
    using(async (engine) => {
      const revisionsTaken = await Promise.all(
        Array.from({ length: 600 }, (_, i) => engine.put(`k/${i}`, bytes('1'))),
      );
      expect(revisionsTaken).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
      expect(engine.revision).toBe(600);
    }),
  );
  test(
    'a transaction is one revision, all or nothing',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      const ops: Op[] = [
        { type: 'put', key: 'b', value: bytes('2') },
        { type: 'delete', key: 'a' },
      ];
      const stale = [
        { key: 'a', modRevision: 1 },
        { key: 'c', modRevision: 5 },
      ];
      expect(await codeOf(() => engine.txn(stale, ops))).toBe('KeyModified');
      expect(text(await engine.get('a'))).toBe('1');
      expect(
        await engine.txn(
          [
            { key: 'a', modRevision: 1 },
            { key: 'c', modRevision: 0 },
          ],
          ops,
        ),
      ).toBe(2);
      expect(await engine.get('a')).toBeUndefined();
      expect(await engine.get('b')).toMatchObject({ modRevision: 2 });
      expect(await engine.changes(1, 10)).toHaveLength(1);
    }),
  );
  test(
    'a transaction that changes nothing takes no revision',
    using(async (engine) => {
      await engine.put('a', bytes('1'));
      expect(await engine.txn([], [{ type: 'delete', key: 'x' }])).toBe(1);
      expect(await engine.txn([{ key: 'a', modRevision: 1 }], [])).toBe(1);
      expect(engine.revision).toBe(1);
    }),
  );
  test(
    'a failing condition rejects only its own transaction',
    using(async (engine) => {
      const results = await Promise.allSettled([
        engine.put('a', bytes('1')),
        engine.put('a', bytes('2'), { ifRevision: 0 }),
        engine.put('b', bytes('3')),
      ]);
      expect(results.map((result) => result.status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(engine.revision).toBe(2);
      expect(text(await engine.get('a'))).toBe('1');
    }),
  );
  test(
    'a transaction has limits',
    using(async (engine) => {
      const twice: Op[] = [
        { type: 'put', key: 'a', value: bytes('1') },
        { type: 'delete', key: '/a' },
      ];
      expect(await codeOf(() => engine.txn([], twice))).toBe('InvalidArgument');
      const deletes: Op[] = Array.from({ length: TXN_OPS_MAX + 1 }, (_, i) => ({
        type: 'delete',
        key: `${i}`,
      }));
      expect(await codeOf(() => engine.txn([], deletes))).toBe('TooLarge');
      const value = new Uint8Array(VALUE_BYTES_MAX);
      const puts: Op[] = Array.from({ length: 9 }, (_, i) => ({ type: 'put', key: `${i}`, value }));
      expect(await codeOf(() => engine.txn([], puts))).toBe('TooLarge');
      expect(await engine.txn([], puts.slice(0, 7))).toBe(1);
    }),
  );
}
