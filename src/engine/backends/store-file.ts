/** How a store comes into being, and what a backend asks before it opens one. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { formatBytes } from '../../base/bytes.ts';
import { HoldfastError, hasErrno, messageOf } from '../../base/errors.ts';
import { rewriteUnsynced } from './unsynced.ts';
import { syncPath } from '../sync-path.ts';

/** File names per backend: a folder holds one store of one backend. */
export const STORE_FILES = { sqlite: 'store.db', lmdb: 'store.mdb' } as const;
export type FileBackend = keyof typeof STORE_FILES;

const NEW_SUFFIX = '.new';

/**
 * The path of the store's file, which exists when this returns. A new store is made aside by `make`
 * and renamed when complete and synced, so that a crash leaves either none or a whole one.
 * @throws StateMismatch when the folder holds another backend's store; PermissionDenied, NoSpace
 */
export async function placeStore(
  folder: string,
  backend: FileBackend,
  make: (file: string) => Promise<void>,
): Promise<string> {
  const file = join(folder, STORE_FILES[backend]);
  try {
    refuseOther(folder, backend);
    if (existsSync(file)) {
      assertWritable(file);
      rewriteUnsynced(file);
      return file;
    }
    const madeFrom = makeFolder(folder);
    const aside = `${file}${NEW_SUFFIX}`;
    removeStore(aside);
    try {
      await make(aside);
      syncPath(aside);
      renameSync(aside, file);
    } finally {
      removeStore(aside);
    }
    syncFolders(folder, madeFrom);
    return file;
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOTDIR') || hasErrno(thrown, 'EEXIST')) {
      throw notOurs(folder, `not a folder (${messageOf(thrown)})`);
    }
    throw storeError(thrown, `cannot open or make a store in ${folder}`, folder);
  }
}

/** @returns the first folder that had to be made. @throws the system's error */
function makeFolder(folder: string): string | undefined {
  try {
    return mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    // Node answers ENOENT on a read-only file system when `recursive` is set; one level alone says EROFS.
    if (!hasErrno(thrown, 'ENOENT')) throw thrown;
    let missing = folder;
    while (!existsSync(dirname(missing))) missing = dirname(missing);
    mkdirSync(missing);
    throw thrown;
  }
}

/** Asks by opening: access(2) tells root nothing about permissions. @throws the system's error */
function assertWritable(file: string): void {
  if (statSync(file).isFile()) closeSync(openSync(file, 'r+'));
}

function refuseOther(folder: string, backend: FileBackend): void {
  for (const [other, name] of Object.entries(STORE_FILES)) {
    if (other === backend || !existsSync(join(folder, name))) continue;
    throw new HoldfastError(
      'StateMismatch',
      `${folder} holds a store of the backend ${other}, asked for is ${backend}`,
      { hint: `set engine.backend to ${other}, or use another state folder` },
    );
  }
}

/** The file with the side files that either backend may have left. */
function removeStore(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal', '-lock']) {
    rmSync(`${file}${suffix}`, { force: true });
  }
}

/** A new name is durable only when its folder is synced, and that one's in its own. */
function syncFolders(folder: string, madeFrom: string | undefined): void {
  const top = madeFrom === undefined ? folder : dirname(madeFrom);
  for (let at = folder; ; at = dirname(at)) {
    syncPath(at);
    if (at === top || at === dirname(at)) return;
  }
}

/** The first `bytes` of a file (fewer when it is shorter) and its size. @throws StateMismatch when it is no file */
export function readStart(file: string, bytes: number): { start: Buffer; sizeBytes: number } {
  if (!statSync(file).isFile()) throw notOurs(file, 'not a regular file');
  const fd = openSync(file, 'r');
  try {
    const start = Buffer.alloc(bytes);
    const read = readSync(fd, start, 0, bytes, 0);
    return { start: start.subarray(0, read), sizeBytes: statSync(file).size };
  } finally {
    closeSync(fd);
  }
}

export function fileBytes(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** What an unprivileged process may still write on the folder's file system; 0 when it can't be asked. */
export function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

export function notOurs(file: string, why: string): HoldfastError {
  return new HoldfastError('StateMismatch', `${file} is not a Holdfast store: ${why}`, {
    hint: 'give the agent a state folder of its own; nothing in this one was changed',
  });
}

export function truncated(file: string, sizeBytes: number, wantBytes: number): HoldfastError {
  return new HoldfastError(
    'Corrupt',
    `${file} is ${sizeBytes} bytes long, its header says at least ${wantBytes}: it was cut off`,
    { hint: 'restore the engine folder from a backup; nothing in it was changed' },
  );
}

/** What the system or the backend's library threw, as one of ours. `codes` are the library's own. */
export function storeError(
  thrown: unknown,
  doing: string,
  folder: string,
  codes: { readonly noSpace?: boolean; readonly corrupt?: boolean; readonly denied?: boolean } = {},
): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const message = `${doing}: ${messageOf(thrown)}`;
  if (codes.noSpace || hasErrno(thrown, 'ENOSPC') || hasErrno(thrown, 'EDQUOT')) {
    const hint = `free space on the file system of ${folder}; reads go on meanwhile`;
    const full = `${message}; ${formatBytes(freeBytes(folder))} are free there`;
    return new HoldfastError('NoSpace', full, { hint, cause: thrown });
  }
  const denied = ['EACCES', 'EPERM', 'EROFS'].some((errno) => hasErrno(thrown, errno));
  if (codes.denied || denied) {
    const hint = `make ${folder} writable for this user, or choose another with --state-dir`;
    return new HoldfastError('PermissionDenied', message, { hint, cause: thrown });
  }
  if (codes.corrupt) {
    const hint = 'restore the engine folder from a backup';
    return new HoldfastError('Corrupt', message, { hint, cause: thrown });
  }
  return new HoldfastError('HostFailed', message, {
    hint: `look at the disk under ${folder} (dmesg)`,
    cause: thrown,
  });
}
