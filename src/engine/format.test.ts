/**
 * Goal: stores that older programs made are read as they are, become ours with the first write, and what
 * their logs don't know is told to be gone, never guessed.
 * Method: two stores each of formats 1 and 2, made by the programs that wrote those formats:
 * a/1 = one (1), a/2 = two (2), a/1 = one again (3), a/2 deleted (4), in format 2 `held` under a lease (5).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { openLmdb } from './backends/lmdb.ts';
import { openSqlite } from './backends/sqlite.ts';
import { checkStore } from './check.ts';
import { openEngine, type Engine } from './index.ts';
import { FORMAT } from './record.ts';
import { readHead, recover } from './recover.ts';

const FIXTURES = new URL('../../test/fixtures/stores/', import.meta.url);
const FILES = { sqlite: 'store.db', lmdb: 'store.mdb' } as const;
const OPENERS = { sqlite: openSqlite, lmdb: openLmdb } as const;
type FileBackend = keyof typeof FILES;

const VALUE = Buffer.from('ours');
const text = (value: Uint8Array | undefined): string | undefined =>
  value && Buffer.from(value).toString();

function storeOf(backend: FileBackend, format: number): string {
  const folder = path.join(tempDir('format'), 'engine');
  mkdirSync(folder);
  const packed = readFileSync(new URL(`${backend}-format-${format}.gz`, FIXTURES));
  writeFileSync(path.join(folder, FILES[backend]), gunzipSync(packed));
  return folder;
}

/** Its format, and what the check finds. */
async function look(backend: FileBackend, folder: string): Promise<unknown[]> {
  const initial = (): never => {
    throw new Error('the store is gone');
  };
  const options = { path: folder, durability: 'commit', initial, verify: recover } as const;
  const store = await OPENERS[backend](options);
  try {
    return [readHead(store).format, ...checkStore(store).findings];
  } finally {
    await store.close();
  }
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  );
}

const CASES = (['sqlite', 'lmdb'] as const).flatMap((backend) =>
  [1, 2].map((format) => ({ backend, format })),
);

describe.each(CASES)('$backend, format $format', ({ backend, format }) => {
  const last = format === 1 ? 4 : 5;
  const using = async (folder: string, work: (engine: Engine) => Promise<void>): Promise<void> => {
    const engine = await openEngine({ backend, path: folder });
    try {
      await work(engine);
    } finally {
      await engine.close();
    }
  };

  test('is read as it is, and stays so', async () => {
    const folder = storeOf(backend, format);
    await using(folder, async (engine) => {
      expect(engine.revision).toBe(last);
      expect(await engine.get('a/1')).toMatchObject({ version: 2, modRevision: 3 });
      expect(text((await engine.get('a/1'))?.value)).toBe('one again');
      expect(await engine.get('a/2')).toBeUndefined();
      const sets = await engine.changes(0, 10);
      expect(sets.map(({ changes }) => `${changes[0]!.type} ${changes[0]!.kv.key}`)).toEqual(
        ['put a/1', 'put a/2', 'put a/1', 'delete a/2', 'put held'].slice(0, last),
      );
      expect((await engine.leases.list()).length).toBe(format - 1);
      expect(await engine.delete('nothing')).toBeUndefined();
    });
    expect(await look(backend, folder)).toEqual([format]);
  });

  test('becomes ours with the first write, and knows what was before from there on', async () => {
    const folder = storeOf(backend, format);
    await using(folder, async (engine) => {
      expect(await engine.put('a/1', VALUE)).toBe(last + 1);
      expect(text((await engine.get('a/1', { revision: last }))?.value)).toBe('one again');
      await engine.delete('a/1');
    });
    expect(await look(backend, folder)).toEqual([FORMAT]);
    await using(folder, async (engine) => {
      expect(engine.revision).toBe(last + 2);
      expect(text((await engine.get('a/1', { revision: last + 1 }))?.value)).toBe('ours');
      const keys = (await engine.list('a', { revision: last })).kvs.map(({ key }) => key);
      expect(keys).toEqual(['a/1']);
      const watch = { from: 3, previousValues: true, signal: AbortSignal.timeout(30_000) };
      const previous: (string | undefined)[] = [];
      for await (const { revision, changes } of engine.watch('a', watch)) {
        previous.push(text(changes[0]!.previous?.value));
        if (revision === last + 2) break;
      }
      expect(previous).toEqual([undefined, undefined, 'one again', 'ours']);
    });
  });

  test('a lease alone makes it ours, too', async () => {
    const folder = storeOf(backend, format);
    await using(folder, async (engine) => {
      const [held] = await engine.leases.list();
      if (held) expect((await engine.leases.timeToLive(held.id)).keys).toEqual(['held']);
      await engine.leases.grant(60);
      expect(engine.revision).toBe(last);
    });
    expect(await look(backend, folder)).toEqual([FORMAT]);
  });

  test('what its log does not know is gone, what it does know is there', async () => {
    const folder = storeOf(backend, format);
    await using(folder, async (engine) => {
      for (const written of [false, true]) {
        if (written) await engine.put('a/2', VALUE);
        expect(await codeOf(engine.get('a/1', { revision: 2 }))).toBe('Compacted');
        expect(await codeOf(engine.get('a/2', { revision: 3 }))).toBe('Compacted');
        expect(await codeOf(engine.list('a', { revision: 3 }))).toBe('Compacted');
        // These came into being in what the log has.
        expect(await engine.get('a/2', { revision: 1 })).toBeUndefined();
        expect((await engine.list('', { revision: 0 })).kvs).toEqual([]);
        expect(await engine.get('a/1', { revision: 3 })).toMatchObject({ version: 2 });
      }
    });
  });
});
