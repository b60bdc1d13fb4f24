import { join } from 'node:path';
import { formatBytes, MiB } from '../base/bytes.ts';
import { diskRoom, KeptRoom } from '../engine/index.ts';

/** A start writes some 100 KiB, and mounting a boot volume some 50 KiB: room for dozens of them. */
const BALLAST_BYTES = 4 * MiB;
/** It is put back only when there is plenty, or it would be what fills the disk. */
const PLENTY_BYTES = 8 * BALLAST_BYTES;

/**
 * A file that holds room in the state folder, for the one moment that must not fail: a start on a full
 * disk. The store has to be written before a volume is mounted, and a host whose disk ran full and whose
 * power then failed would come back without its volumes. The engine's own reserve is none for this: it is for
 * deletes, and what a start writes are puts.
 */
export class Ballast {
  readonly #stateDir: string;
  readonly #room: KeptRoom;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#room = new KeptRoom(join(stateDir, 'ballast'));
  }

  /** Before the first write of a start: gives the room back when there is no other. Fine on a new folder. */
  async release(): Promise<void> {
    const { freeBytes } = await diskRoom(this.#stateDir);
    if (freeBytes < BALLAST_BYTES) await this.#room.release();
  }

  /**
   * Takes the room again, once there is plenty.
   * @returns what to tell while there isn't; undefined when all is well. @throws what the file system does
   */
  async restore(): Promise<string | undefined> {
    const { freeBytes } = await diskRoom(this.#stateDir);
    const isWhole = (await this.#room.bytes()) >= BALLAST_BYTES;
    if (isWhole && freeBytes >= BALLAST_BYTES) return undefined;
    if (freeBytes < PLENTY_BYTES) {
      return `the file system of ${this.#stateDir} is nearly full: ${formatBytes(freeBytes)} free; free ${formatBytes(PLENTY_BYTES)}`;
    }
    await this.#room.grow(BALLAST_BYTES);
    return undefined;
  }
}
