/**
 * A file that does nothing but hold room on its file system, to be given back in the moment that must not
 * fail. Its blocks are written, not only asked for: a sparse file holds nothing, and zeros take no room
 * where the file system compresses them.
 */
import { randomBytes } from 'node:crypto';
import { open, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KiB } from '../base/bytes.ts';
import { hasErrno } from '../base/errors.ts';

const BLOCK_BYTES = 256 * KiB;

export class KeptRoom {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** What it holds; 0 when it isn't there. */
  async bytes(): Promise<number> {
    try {
      return (await stat(this.#file)).size;
    } catch (thrown) {
      ignoreMissing(thrown);
      return 0;
    }
  }

  /** Holds `bytes` from now on, or, when it throws, what it held before. @throws what the file system does (ENOSPC) */
  async grow(bytes: number): Promise<void> {
    // Like `w`, but what is there stays: a crash leaves a shorter file, and that is what it then holds.
    const file = await open(this.#file, 'a', 0o600);
    try {
      const { size } = await file.stat();
      await extend(file, size, bytes);
    } finally {
      await file.close();
    }
  }

  /** Gives all of it back. Fine when it isn't there. */
  async release(): Promise<void> {
    try {
      await unlink(this.#file);
    } catch (thrown) {
      return ignoreMissing(thrown);
    }
    // File systems with a journal give freed blocks out again only when that is committed.
    const folder = await open(dirname(this.#file), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

async function extend(file: FileHandle, from: number, to: number): Promise<void> {
  const block = randomBytes(BLOCK_BYTES);
  try {
    for (let at = from; at < to; at += BLOCK_BYTES) {
      await file.appendFile(block.subarray(0, Math.min(BLOCK_BYTES, to - at)));
    }
    await file.sync();
  } catch (thrown) {
    await file.truncate(from);
    throw thrown;
  }
}

export interface DiskRoom {
  /** What a process without privileges may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the file system that `folder` lies on; a folder that is missing has all the room there is. */
export async function diskRoom(folder: string): Promise<DiskRoom> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (thrown) {
    ignoreMissing(thrown);
    return { freeBytes: Infinity, totalBytes: Infinity };
  }
}

function ignoreMissing(thrown: unknown): void {
  if (!hasErrno(thrown, 'ENOENT')) throw thrown;
}
