/**
 * Goal: a store that is cut off, overwritten, foreign, newer or not writable is refused with a stable
 * code, a sentence with the numbers and a hint, and not a byte of it changes. Nothing of it may kill the process.
 */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { open as openLmdbFile } from 'lmdb';
import { beforeAll, describe, expect, test } from 'vitest';
import { mount, umount } from '../../native/index.ts';
import { openEngine } from '../../src/engine/index.ts';
import { encodeIdentity, FORMAT, IDENTITY_KEY } from '../../src/engine/record.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Random } from './random.ts';
import { contents, fill, makeStore, refusal, STORE_FILE, type FileBackend } from './store-files.ts';
import type { HoldfastError } from '../../src/base/errors.ts';
import type { Ack } from './workload.ts';

const BACKENDS = ['sqlite', 'lmdb'] as const;
const PAGE_BYTES = 4096;
const isRoot = process.getuid?.() === 0;

/** A stable code, a sentence and a next step. */
const refusedWith = (code: string): object => ({
  code,
  message: expect.stringMatching(/.{20}/),
  hint: expect.stringMatching(/.{10}/),
});

describe.each(BACKENDS)('%s', (backend) => {
  let whole: string;
  let acks: Ack[];
  let bytes: Buffer;
  beforeAll(async () => {
    whole = path.join(tempDir('whole'), 'engine');
    acks = await makeStore(backend, whole);
    bytes = readFileSync(path.join(whole, STORE_FILE[backend]));
  });

  /** A folder whose store's file is `content`. */
  const storeOf = (content: Uint8Array | string): string => {
    const folder = tempDir('bad');
    writeFileSync(path.join(folder, STORE_FILE[backend]), content);
    return folder;
  };

  /** What opening and reading it is refused with; the files are the same afterwards. */
  const refusalUnchanged = async (folder: string): Promise<HoldfastError | undefined> => {
    const before = contents(folder);
    const error = await refusal(backend, folder, acks);
    expect(contents(folder)).toEqual(before);
    return error;
  };

  test('the whole file opens, and being opened does not change it', async () => {
    expect(await refusalUnchanged(storeOf(bytes))).toBeUndefined();
  });

  test('cut off anywhere', async () => {
    const sizes = [0, 1, 15, 16, 99, 100, 512, PAGE_BYTES - 1, PAGE_BYTES, 2 * PAGE_BYTES];
    const shares = [0.1, 0.25, 0.5, 0.75, 0.9].map((share) => Math.floor(bytes.length * share));
    for (const size of [...sizes, ...shares]) {
      const error = await refusalUnchanged(storeOf(bytes.subarray(0, size)));
      expect(error).toMatchObject(refusedWith('Corrupt'));
      expect(error!.message).toMatch(new RegExp(`\\b${size}\\b`));
    }
  });

  test('cut off by a page or less: whole, or refused', async () => {
    for (const less of [1, PAGE_BYTES - 1, PAGE_BYTES]) {
      const error = await refusalUnchanged(storeOf(bytes.subarray(0, bytes.length - less)));
      expect([undefined, 'Corrupt']).toContain(error?.code);
    }
  });

  test('a page overwritten, zeroed or swapped, some bytes overwritten', async () => {
    const random = new Random(11);
    const pages = bytes.length / PAGE_BYTES;
    const kinds = ['random', 'zero', 'swapped', 'bytes'] as const;
    const refusals: string[] = [];
    for (let i = 0; i < 80; i += 1) {
      const damaged = Buffer.from(bytes);
      const at = (2 + random.below(pages - 2)) * PAGE_BYTES;
      const noise = Buffer.from(Array.from({ length: PAGE_BYTES }, () => random.below(256)));
      const kind = kinds[i % kinds.length]!;
      if (kind === 'random') noise.copy(damaged, at);
      else if (kind === 'zero') damaged.fill(0, at, at + PAGE_BYTES);
      else if (kind === 'swapped') bytes.copy(damaged, at, at - PAGE_BYTES, at);
      else noise.copy(damaged, at + random.below(PAGE_BYTES - 32), 0, 32);
      // All that is read is right, or reading says that it isn't: `refusal` throws on anything between.
      const error = await refusalUnchanged(storeOf(damaged));
      if (!error) continue;
      expect(error).toMatchObject(refusedWith('Corrupt'));
      refusals.push(error.message);
    }
    expect(refusals.length).toBeGreaterThan(40);
  });

  test('random bytes, text, and a folder where the file should be', async () => {
    const random = new Random(12);
    const noise = Buffer.from(Array.from({ length: 64 * 1024 }, () => random.below(256)));
    expect(await refusalUnchanged(storeOf(noise))).toMatchObject(refusedWith('StateMismatch'));
    expect(await refusalUnchanged(storeOf('no store\n'.repeat(2000)))).toMatchObject(
      refusedWith('StateMismatch'),
    );
    const folder = tempDir('bad');
    mkdirSync(path.join(folder, STORE_FILE[backend]));
    expect(await refusal(backend, folder)).toMatchObject(refusedWith('StateMismatch'));
  });

  test('a file where the folder should be', async () => {
    const file = path.join(tempDir('bad'), 'engine');
    writeFileSync(file, 'mine');
    expect(await refusal(backend, file)).toMatchObject(refusedWith('StateMismatch'));
    expect(await refusal(backend, path.join(file, 'below'))).toMatchObject(
      refusedWith('StateMismatch'),
    );
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  test("another backend's store", async () => {
    const other: FileBackend = backend === 'sqlite' ? 'lmdb' : 'sqlite';
    const before = contents(whole);
    const error = await refusal(other, whole);
    expect(error).toMatchObject(refusedWith('StateMismatch'));
    expect(error!.message).toContain(backend);
    expect(error!.hint).toContain(`engine.backend to ${backend}`);
    expect(contents(whole)).toEqual(before);
  });

  test("another program's file of the same kind", async () => {
    const folder = tempDir('bad');
    const file = path.join(folder, STORE_FILE[backend]);
    if (backend === 'sqlite') {
      const db = new Database(file);
      db.exec('CREATE TABLE kv (k, v); INSERT INTO kv VALUES (1, 2)');
      db.close();
    } else {
      const root = openLmdbFile({ path: file, noSubdir: true });
      await root.put('mine', 1);
      await root.close();
    }
    expect(await refusalUnchanged(folder)).toMatchObject(refusedWith('StateMismatch'));
  });

  test('a newer format', async () => {
    const folder = storeOf(bytes);
    await setFormat(backend, path.join(folder, STORE_FILE[backend]), FORMAT + 1);
    const error = await refusalUnchanged(folder);
    expect(error).toMatchObject(refusedWith('StateMismatch'));
    expect(error!.message).toContain(`format ${FORMAT + 1}`);
    expect(error!.message).toContain(`up to ${FORMAT}`);
  });

  test.runIf(isRoot)('a folder on a read-only file system (needs root: mounts)', async () => {
    const folder = tempDir('read-only');
    await mount({ source: 'tmpfs', target: folder, type: 'tmpfs', data: 'size=16m' });
    try {
      cpSync(whole, path.join(folder, 'engine'), { recursive: true });
      await mount({ source: 'tmpfs', target: folder, type: 'tmpfs', flags: ['remount', 'rdonly'] });
      expect(await refusalUnchanged(path.join(folder, 'engine'))).toMatchObject(
        refusedWith('PermissionDenied'),
      );
      expect(await refusal(backend, path.join(folder, 'new'))).toMatchObject(
        refusedWith('PermissionDenied'),
      );
    } finally {
      await umount(folder);
    }
  });
});

describe('sqlite with a WAL, as a crash leaves it', () => {
  let crashed: string;
  let acks: Ack[];
  beforeAll(async () => {
    const folder = tempDir('crashed');
    crashed = path.join(folder, 'crashed');
    const live = path.join(folder, 'live');
    const engine = await openEngine({ backend: 'sqlite', path: live });
    acks = await fill(engine);
    // What SIGKILL would leave: the WAL holds it all, nothing was folded back.
    copyStore(live, crashed);
    await engine.close();
  });

  const copyStore = (from: string, to: string): void => {
    mkdirSync(to);
    for (const name of ['store.db', 'store.db-wal']) {
      copyFileSync(path.join(from, name), path.join(to, name));
    }
  };

  test('opens with all of it', async () => {
    const folder = path.join(tempDir('wal'), 'engine');
    copyStore(crashed, folder);
    expect(await refusal('sqlite', folder, acks)).toBeUndefined();
  });

  test('a damaged head is refused with file and WAL unchanged', async () => {
    const folder = path.join(tempDir('wal'), 'engine');
    const damaged = path.join(tempDir('wal'), 'engine');
    copyStore(crashed, folder);
    const db = new Database(path.join(folder, 'store.db'));
    db.exec("UPDATE meta SET v = x'00112233445566778899' WHERE k = CAST('head' AS BLOB)");
    copyStore(folder, damaged);
    db.close();
    const before = contents(damaged);
    expect(statSync(path.join(damaged, 'store.db-wal')).size).toBeGreaterThan(0);
    expect(await refusal('sqlite', damaged)).toMatchObject(refusedWith('Corrupt'));
    expect(contents(damaged)).toEqual(before);
  });

  test('a database cut off beneath its WAL: whole, or refused', async () => {
    const whole = statSync(path.join(crashed, 'store.db')).size;
    for (const size of [0, 99, PAGE_BYTES, whole / 2, whole - 1]) {
      const folder = path.join(tempDir('wal'), 'engine');
      copyStore(crashed, folder);
      truncateSync(path.join(folder, 'store.db'), Math.floor(size));
      expect([undefined, 'Corrupt']).toContain((await refusal('sqlite', folder, acks))?.code);
    }
  });

  test('a WAL cut off loses its end, never the middle', async () => {
    const whole = statSync(path.join(crashed, 'store.db-wal')).size;
    for (const share of [0, 0.3, 0.6, 0.9]) {
      const folder = path.join(tempDir('wal'), 'engine');
      copyStore(crashed, folder);
      truncateSync(path.join(folder, 'store.db-wal'), Math.floor(whole * share));
      const engine = await openEngine({ backend: 'sqlite', path: folder });
      const { revision } = engine;
      await engine.close();
      expect(revision).toBeLessThan(acks.at(-1)!.revision);
      const there = acks.filter((ack) => ack.revision <= revision);
      expect(await refusal('sqlite', folder, there)).toBeUndefined();
      rmSync(folder, { recursive: true });
    }
  });
});

async function setFormat(backend: FileBackend, file: string, format: number): Promise<void> {
  if (backend === 'sqlite') {
    const db = new Database(file);
    db.pragma(`user_version = ${format}`);
    // Also out of the WAL, so that the file itself says so.
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    return;
  }
  const options = { encoding: 'binary', keyEncoding: 'binary' } as const;
  const root = openLmdbFile<Buffer, Buffer>({ path: file, noSubdir: true, ...options });
  const meta = root.openDB<Buffer, Buffer>({ name: 'meta', ...options });
  const identity = encodeIdentity('01890a5d-ac96-774b-bcce-b302099a8057');
  identity.writeUInt32BE(format, 8);
  await meta.put(IDENTITY_KEY, identity);
  await root.close();
}
