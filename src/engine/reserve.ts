/**
 * The room kept for deletes. A full disk takes no write, so neither a delete: a key that is deleted is a
 * record in the log, pages in a WAL (SQLite) or copies of pages (LMDB). Without a reserve, nothing in
 * the store could ever make room again.
 *
 * KEPT. The file `reserve` beside the store (kept-room.ts). Its size is the next power of two over what the
 * store takes, from RESERVE_BYTES_FIRST to RESERVE_BYTES_MAX: all that a commit of deletes can need is a
 * new copy of every page (LMDB), or a whole WAL that has to be folded into a file that grows (SQLite). It
 * takes at most an eighth of the file system and leaves as much free as it takes. It is looked at after
 * commits, so an idle store writes nothing.
 *
 * NO SPACE. A commit that finds the disk full is tried again: first with the WAL folded, which may give back
 * all that is needed; then without its puts, which are refused; then, when it has nothing but deletes, ends
 * of leases and compaction, with the reserve given back, and then by halves. From then on the reserve is *out*: puts are refused
 * at once, and each commit drops twice as much of the log as it adds, whoever still wants to read it.
 *
 * BACK. Each batch with puts asks again, never a timer: is there room for a reserve and as much again? Then
 * the reserve comes first, the puts after it. Once the deletes have freed as much as was given back it may come
 * back at a half of that, down to RESERVE_BYTES_MIN: a store that filled its disk by itself then has
 * its room inside its own file, and nothing would ever come back outside of it.
 *
 * What can go wrong: another program may take what was given back; then deletes fail with the numbers,
 * until somebody frees space. A crash while it is out leaves the store without: the next process takes
 * puts and deletes as far as there is room, and makes the reserve when there is room for it.
 */
import { join } from 'node:path';
import { formatBytes } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';
import { diskRoom, KeptRoom, type DiskRoom } from './kept-room.ts';
import {
  FOLD_RETRY_MS,
  RESERVE_BYTES_FIRST,
  RESERVE_BYTES_MAX,
  RESERVE_BYTES_MIN,
  RESERVE_FILE_SYSTEM_SHARE,
  RESERVE_LOOK_BYTES,
} from './limits.ts';
import type { Clock } from '../base/clock.ts';
import type { Backend } from './backend.ts';
import type { Job } from './txn.ts';

export interface ReserveStatus {
  /** What is kept now. */
  readonly bytes: number;
  /** Given back to deletes: puts are refused until there is room for it again. */
  readonly out: boolean;
}

/** How to go on after a commit that found no space: all of it again, only what frees, half of it, or not at all. */
export type NextTry = 'all' | 'frees' | 'half' | 'none';

export class Reserve {
  readonly #folder: string;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #room: KeptRoom;
  #bytes: number;
  #isOut = false;
  /** What was given back, and about what deletes have freed inside the store since. */
  #gaveBytes = 0;
  #freedBytes = 0;
  /** The disk had no room for what it should be: then each commit looks again. */
  #isShort = false;
  /** Written since the last look; the first commit looks. */
  #unseenBytes = RESERVE_LOOK_BYTES;
  #foldFailedAtMs = -Infinity;
  #looking: Promise<void> | undefined;

  private constructor(
    folder: string,
    backend: Backend,
    clock: Clock,
    room: KeptRoom,
    bytes: number,
  ) {
    this.#folder = folder;
    this.#backend = backend;
    this.#clock = clock;
    this.#room = room;
    this.#bytes = bytes;
  }

  /** Writes nothing yet. */
  static async open(folder: string, backend: Backend, clock: Clock): Promise<Reserve> {
    const room = new KeptRoom(join(folder, 'reserve'));
    return new Reserve(folder, backend, clock, room, await room.bytes());
  }

  get status(): ReserveStatus {
    return { bytes: this.#bytes, out: this.#isOut };
  }

  /** Before a commit with puts, while the reserve is out. @throws NoSpace when it can't be had back */
  async takeBack(): Promise<void> {
    await this.#looking;
    this.#fold();
    const disk = await diskRoom(this.#folder);
    const leastBytes = this.#freedBytes < this.#gaveBytes ? this.#gaveBytes : RESERVE_BYTES_MIN;
    if (wantedBytes(this.#backend.sizeBytes(), 0, disk) >= leastBytes) await this.#look();
    if (this.#bytes >= leastBytes) {
      this.#isOut = false;
      return;
    }
    throw new HoldfastError(
      'NoSpace',
      `the disk is full: ${formatBytes(disk.freeBytes)} are free in ${this.#folder}, writes need ` +
        `${formatBytes(2 * leastBytes)}; deletes and reads go on`,
      { hint: `free space on the file system of ${this.#folder}, or delete keys` },
    );
  }

  /** After a commit of about `bytes`: a store that has grown wants a larger reserve. Waits for nothing. */
  wrote(bytes: number, freedBytes: number): void {
    this.#freedBytes += freedBytes;
    this.#unseenBytes += this.#isShort ? RESERVE_LOOK_BYTES : bytes;
    if (this.#unseenBytes < RESERVE_LOOK_BYTES || this.#isOut || this.#looking) return;
    this.#looking = this.#lookWhileWritten();
  }

  /**
   * After a commit that found no space.
   * @param how whether it was tried before, and whether somebody waits for a compaction, which goes with it
   */
  async makeRoom(
    jobs: readonly Job[],
    how: { readonly isRetry: boolean; readonly isCompacting: boolean },
  ): Promise<NextTry> {
    if (!how.isRetry && this.#fold()) return 'all';
    const frees = jobs.filter(onlyFrees).length;
    if (frees < jobs.length) return frees > 0 || how.isCompacting ? 'frees' : 'none';
    await this.#looking;
    if (this.#bytes === 0) return jobs.length > 1 ? 'half' : 'none';
    this.#isOut = true;
    this.#gaveBytes = this.#bytes;
    this.#freedBytes = 0;
    this.#bytes = 0;
    await this.#room.release();
    this.#foldFailedAtMs = -Infinity;
    this.#fold();
    return 'all';
  }

  /** The numbers for whoever is refused. */
  explain(error: HoldfastError, jobs: readonly Job[]): HoldfastError {
    const bytes = jobs.reduce((sum, job) => sum + job.bytes, 0);
    const gone = this.#isOut ? '; the reserve for deletes is used up or taken by others' : '';
    const asked = `${error.message}, ${formatBytes(bytes)} of keys and values were asked for${gone}`;
    return new HoldfastError('NoSpace', asked, { hint: error.hint, cause: error });
  }

  async close(): Promise<void> {
    await this.#looking;
  }

  async #lookWhileWritten(): Promise<void> {
    while (this.#unseenBytes >= RESERVE_LOOK_BYTES) await this.#look();
    this.#looking = undefined;
  }

  /** Makes it as large as it should be and the disk has room for. What is kept stays when that fails. */
  async #look(): Promise<void> {
    this.#unseenBytes = 0;
    try {
      const disk = await diskRoom(this.#folder);
      const storeBytes = this.#backend.sizeBytes();
      const bytes = wantedBytes(storeBytes, this.#bytes, disk);
      this.#isShort = bytes < wantedBytes(storeBytes, 0, { ...disk, freeBytes: Infinity });
      if (bytes <= this.#bytes) return;
      await this.#room.grow(bytes);
      this.#bytes = bytes;
    } catch {
      // Somebody else was faster with the room. What there is, is told by `status`.
      this.#isShort = true;
      this.#bytes = await this.#room.bytes().catch(() => 0);
    }
  }

  /** Where it can't be done it takes long: not for each write that is refused. @returns true when it was done */
  #fold(): boolean {
    const nowMs = this.#clock.monoMs();
    if (!this.#backend.fold || nowMs - this.#foldFailedAtMs < FOLD_RETRY_MS) return false;
    const outcome = this.#backend.fold();
    if (outcome === 'failed') this.#foldFailedAtMs = nowMs;
    return outcome === 'done';
  }
}

/** What only makes room, in the end: it may use the reserve. */
export function onlyFrees(job: Job): boolean {
  if (job.type === 'txn') return [...job.then, ...job.else].every(({ type }) => type !== 'put');
  return job.type === 'revoke';
}

/** A power of two; 0 when there is no room for one. */
export function wantedBytes(storeBytes: number, heldBytes: number, disk: DiskRoom): number {
  const most = Math.min(
    RESERVE_BYTES_MAX,
    disk.totalBytes / RESERVE_FILE_SYSTEM_SHARE,
    (disk.freeBytes + heldBytes) / 2,
  );
  let bytes = RESERVE_BYTES_FIRST;
  while (bytes < storeBytes && bytes < most) bytes *= 2;
  while (bytes > most) bytes /= 2;
  return bytes < RESERVE_BYTES_MIN ? 0 : bytes;
}
