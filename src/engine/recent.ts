/**
 * The records that were written last, kept in memory for those that are written again: a put needs what was
 * there before it. SQLite's reading connection forgets all of its pages with each commit of the other one, so
 * that reading it back takes longer than all else that a put asks of the main thread.
 *
 * Two generations: the young one is filled, and when it is full it becomes the old one, which goes. So a record
 * is kept for one to two times GENERATION_BYTES of writes, and nothing has to be found that is to be dropped.
 */
import { RECENT_BYTES_MAX } from './limits.ts';

const GENERATION_BYTES = RECENT_BYTES_MAX / 2;
/** Whoever writes larger ones is not helped by this. */
const RECORD_BYTES_MAX = GENERATION_BYTES / 32;
const LENGTH_BYTES = 4;

class Generation {
  /** Handed out as they are, and never written over: who holds one keeps all of it alive, for a batch. */
  readonly #bytes = Buffer.allocUnsafeSlow(GENERATION_BYTES);
  /** Where the record of a key begins; its length is before it. */
  readonly #places = new Map<string, number>();
  #used = 0;

  hasRoomFor(record: Uint8Array): boolean {
    return this.#used + LENGTH_BYTES + record.length <= GENERATION_BYTES;
  }

  get(key: string): Buffer | undefined {
    const at = this.#places.get(key);
    if (at === undefined) return undefined;
    return this.#bytes.subarray(at, at + this.#bytes.readUInt32BE(at - LENGTH_BYTES));
  }

  set(key: string, record: Uint8Array): void {
    this.#bytes.writeUInt32BE(record.length, this.#used);
    const at = this.#used + LENGTH_BYTES;
    this.#bytes.set(record, at);
    this.#places.set(key, at);
    this.#used = at + record.length;
  }

  delete(key: string): void {
    this.#places.delete(key);
  }
}

export class RecentRecords {
  #young: Generation | undefined;
  #old: Generation | undefined;

  /** The record as it is in kv; undefined: not known here. */
  get(key: string): Buffer | undefined {
    return this.#young?.get(key) ?? this.#old?.get(key);
  }

  /** What a commit has made durable; `record` undefined for a key that is gone. */
  committed(key: string, record: Uint8Array | undefined): void {
    if (!record || record.length > RECORD_BYTES_MAX) {
      this.#young?.delete(key);
      this.#old?.delete(key);
      return;
    }
    if (!this.#young?.hasRoomFor(record)) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    this.#young.set(key, record);
  }

  /** After a commit that failed: what is on the disk is not known. */
  clear(): void {
    this.#young = undefined;
    this.#old = undefined;
  }
}
