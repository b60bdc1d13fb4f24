import { open, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes, MiB } from '../base/bytes.ts';
import { hasErrno } from '../base/errors.ts';

/** A start writes some 100 KiB, and mounting a boot volume some 50 KiB: room for dozens of them. */
const BALLAST_BYTES = 4 * MiB;
/** It is put back only when there is plenty, or it would be what fills the disk. */
const PLENTY_BYTES = 8 * BALLAST_BYTES;

/**
 * A file that holds room in the state folder, for the one moment that must not fail: a start on a full
 * disk. The store has to be written before a volume is mounted, and a host whose disk ran full and whose
 * power then failed would come back without its volumes.
 */
export class Ballast {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Before the first write of a start: gives the room back when there is no other. Fine on a new folder. */
  async release(): Promise<void> {
    if ((await this.#freeBytes()) >= BALLAST_BYTES) return;
    await unlink(this.#file).catch(ignoreMissing);
  }

  /**
   * Takes the room again, once there is plenty.
   * @returns what to tell while there isn't; undefined when all is well. @throws what the file system does
   */
  async restore(): Promise<string | undefined> {
    const freeBytes = await this.#freeBytes();
    const whole = await this.#isWhole();
    if (whole && freeBytes >= BALLAST_BYTES) return undefined;
    if (freeBytes < PLENTY_BYTES) {
      return `the file system of ${this.#stateDir} is nearly full: ${formatBytes(freeBytes)} free; free ${formatBytes(PLENTY_BYTES)}`;
    }
    const file = await open(this.#file, 'w', 0o600);
    try {
      await file.writeFile(Buffer.alloc(BALLAST_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
    return undefined;
  }

  async #isWhole(): Promise<boolean> {
    try {
      return (await stat(this.#file)).size === BALLAST_BYTES;
    } catch (thrown) {
      ignoreMissing(thrown);
      return false;
    }
  }

  async #freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#stateDir);
      return bavail * bsize;
    } catch (thrown) {
      ignoreMissing(thrown);
      return Number.POSITIVE_INFINITY;
    }
  }

  get #file(): string {
    return join(this.#stateDir, 'ballast');
  }
}

function ignoreMissing(thrown: unknown): void {
  if (!hasErrno(thrown, 'ENOENT')) throw thrown;
}
