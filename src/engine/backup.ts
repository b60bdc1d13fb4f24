/**
 * BACKUP FORMAT (version 1): JSON lines in UTF-8
 *
 *   first   {"holdfast":"backup","format":1,"backend":"sqlite","incarnation":"…","revision":n}
 *   then    a dump line (dump.ts) for each key of the store, in key order
 *   last    {"keys":n,"crc32":"…"}, the checksum of all bytes before this line, 8 hex digits
 *
 * A backup without its last line was cut off. Keys under a lease are not in it: the holders are gone when it is
 * restored. The change log is not in it either: a restored store is a new incarnation, and whoever
 * followed the old one compares.
 *
 * RESTORE makes the store aside, with the keys' revisions as they were, compacted up to the revision of
 * the backup, and gives it its name when it is complete and synced.
 */
import { crc32 } from 'node:zlib';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HoldfastError, hasErrno, messageOf } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { dumpLine, keysUnder, type DumpLine } from './dump.ts';
import { keyBytes, normalizeKey } from './key.ts';
import { BATCH_BYTES_MAX } from './limits.ts';
import {
  decodeIdentity,
  encodeHead,
  encodeIdentity,
  encodeKeyValue,
  HEAD_KEY,
  IDENTITY_KEY,
} from './record.ts';
import { recover } from './recover.ts';
import { openBackend, type FileBackend } from './offline.ts';
import type { Backend, Write } from './backend.ts';
import { syncPath } from './sync-path.ts';

const FORMAT = 1;

interface BackupHeader {
  readonly holdfast: 'backup';
  readonly format: number;
  readonly backend: FileBackend;
  readonly incarnation: string;
  readonly revision: number;
}

interface BackupEnd {
  readonly keys: number;
  readonly crc32: string;
}

export interface BackupSummary {
  readonly incarnation: string;
  readonly revision: number;
  readonly keys: number;
  /** Keys that were left out because a lease holds them. */
  readonly leased: number;
}

/** @throws Corrupt: no backup is better than one that lacks something unnoticed */
export async function writeBackup(
  backend: Backend,
  write: (text: string) => Promise<void>,
): Promise<BackupSummary> {
  const { incarnation, head } = recover(backend);
  const { revision } = head;
  let crc = 0;
  let keys = 0;
  let leased = 0;
  const put = (text: string): Promise<void> => {
    crc = crc32(text, crc);
    return write(text);
  };
  const name = backend.name as FileBackend;
  const header = { holdfast: 'backup', format: FORMAT, backend: name, incarnation, revision };
  await put(`${JSON.stringify(header)}\n`);
  for (const page of keysUnder(backend, '')) {
    const kept = page.filter(({ lease }) => lease === undefined);
    keys += kept.length;
    leased += page.length - kept.length;
    await put(kept.map((kv) => `${JSON.stringify(dumpLine(kv))}\n`).join(''));
  }
  if (keys + leased !== head.keys) {
    throw new HoldfastError(
      'Corrupt',
      `${keys + leased} keys read, the store counts ${head.keys}`,
      {
        hint: 'look at all of it with `holdfast kv check`',
      },
    );
  }
  await write(`${JSON.stringify({ keys, crc32: hex(crc) } satisfies BackupEnd)}\n`);
  return { incarnation, revision, keys, leased };
}

/**
 * Makes a store in `folder`, which is missing or empty, out of a backup's lines (without their ends).
 * @throws AlreadyExists, Corrupt (cut off, damaged, not a backup), StateMismatch (a newer format), NoSpace, PermissionDenied
 */
export async function restoreBackup(
  lines: AsyncIterable<string>,
  folder: string,
): Promise<BackupSummary> {
  assertEmpty(folder);
  const aside = `${folder}.restoring`;
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
  try {
    const restored = await fill(lines, aside);
    // rename(2) replaces an empty folder.
    renameSync(aside, folder);
    syncPath(dirname(folder));
    return restored;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

async function fill(lines: AsyncIterable<string>, aside: string): Promise<BackupSummary> {
  const iterator = lines[Symbol.asyncIterator]();
  const first = await iterator.next();
  const header = headerOf(first.done ? '' : first.value);
  const incarnation = newId();
  const store = new Restored(await openNew(header.backend, aside, incarnation));
  try {
    let crc = crc32(`${first.value}\n`);
    for (;;) {
      const next = await iterator.next();
      if (next.done) throw cut(store.keys);
      const line = parsed(next.value, store.keys) as DumpLine | BackupEnd;
      if ('crc32' in line) {
        if (line.keys !== store.keys || line.crc32 !== hex(crc))
          throw damaged(line, store.keys, crc);
        break;
      }
      crc = crc32(`${next.value}\n`, crc);
      await store.put(line);
    }
    await store.finish(header.revision);
    return { incarnation, revision: header.revision, keys: store.keys, leased: 0 };
  } finally {
    await store.close();
  }
}

/** Keys are committed as they come, the head last. */
class Restored {
  readonly #backend: Backend;
  #writes: Write[] = [];
  #bytes = 0;
  keys = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async put(line: DumpLine): Promise<void> {
    const { createRevision, modRevision, version } = line;
    const key = keyBytes(normalizeKey(line.key));
    const value = Buffer.from(line.value, 'base64');
    const kv = { key: line.key, value, createRevision, modRevision, version };
    this.#writes.push({ table: 'kv', key, value: encodeKeyValue(key, kv) });
    this.#bytes += key.length + value.length;
    this.keys += 1;
    if (this.#bytes >= BATCH_BYTES_MAX) await this.#flush();
  }

  async finish(revision: number): Promise<void> {
    await this.#flush();
    const head = { revision, compacted: revision, keys: this.keys, logBytes: 0 };
    await this.#backend.commit([{ table: 'meta', key: HEAD_KEY, value: encodeHead(head) }]);
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  async #flush(): Promise<void> {
    await this.#backend.commit(this.#writes);
    this.#writes = [];
    this.#bytes = 0;
  }
}

function openNew(backend: FileBackend, path: string, incarnation: string): Promise<Backend> {
  return openBackend(backend, {
    path,
    durability: 'commit',
    // Without a head it is no store yet.
    initial: () => [{ table: 'meta', key: IDENTITY_KEY, value: encodeIdentity(incarnation) }],
    verify: (made) => void decodeIdentity(made.get('meta', IDENTITY_KEY)),
  });
}

function assertEmpty(folder: string): void {
  try {
    const names = readdirSync(folder);
    if (names.length === 0) return;
    throw new HoldfastError('AlreadyExists', `${join(folder, names[0]!)} is there already`, {
      hint: 'move the folder away first: a restore never writes over a store',
    });
  } catch (thrown) {
    if (!hasErrno(thrown, 'ENOENT')) throw thrown;
  }
}

function headerOf(line: string): BackupHeader {
  const header = parsed(line, 0) as Partial<BackupHeader>;
  if (header.holdfast !== 'backup' || typeof header.format !== 'number') throw notBackup(line);
  if (header.format > FORMAT) {
    throw new HoldfastError(
      'StateMismatch',
      `the backup has format ${header.format}, this version of Holdfast reads up to ${FORMAT}`,
      { hint: 'use the Holdfast version that wrote it, or a newer one' },
    );
  }
  if (header.backend !== 'sqlite' && header.backend !== 'lmdb') throw notBackup(line);
  return header as BackupHeader;
}

function parsed(line: string, keys: number): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    if (keys === 0) throw notBackup(line);
    const where = `line ${keys + 2} of the backup`;
    throw broken(`${where} is not JSON: ${messageOf(cause)}`);
  }
}

function notBackup(line: string): HoldfastError {
  return new HoldfastError(
    'Corrupt',
    `not a backup: it begins with ${JSON.stringify(line.slice(0, 40))}`,
    {
      hint: '`holdfast kv backup FILE` makes one; `holdfast kv restore` reads a dump',
    },
  );
}

function cut(keys: number): HoldfastError {
  return broken(`it was cut off after ${keys} keys: its last line is missing`);
}

function damaged(end: BackupEnd, keys: number, crc: number): HoldfastError {
  return broken(
    `its last line says ${end.keys} keys with checksum ${end.crc32}, read were ${keys} with ${hex(crc)}`,
  );
}

function broken(what: string): HoldfastError {
  return new HoldfastError('Corrupt', `the backup is damaged: ${what}`, {
    hint: 'nothing was restored; take an older backup',
  });
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
