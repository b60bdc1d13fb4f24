/** The previous records of the log against the log itself: each is what the key's last change before it left. */
import { messageOf } from '../base/errors.ts';
import { asBuffer, keyBytes } from './key.ts';
import { decodeKeyValue, encodeKeyValue } from './record.ts';
import type { LoggedChange } from './log.ts';
import type { KeyValue } from './engine.ts';

/** What the log has said last of a key. */
interface Last {
  readonly revision: number;
  /** Of the record that the change left in kv; undefined: it was a delete. */
  readonly crc: number | undefined;
}

export class PreviousCheck {
  readonly #compacted: number;
  readonly #last = new Map<string, Last>();

  constructor(compacted: number) {
    this.#compacted = compacted;
  }

  /** Takes the changes in their order. @returns what is wrong with the change's previous record */
  take(logged: LoggedChange): string | undefined {
    const { type, kv } = logged.change;
    const last = this.#last.get(kv.key);
    const crc = type === 'put' ? crcOf(encodeKeyValue(keyBytes(kv.key), kv)) : undefined;
    this.#last.set(kv.key, { revision: kv.modRevision, crc });
    if (logged.previous) return this.#wrong(logged.change, logged.previous, last);
    const isNew = type === 'put' && kv.version === 1;
    return isNew && last?.crc !== undefined ? `is new, but ${at(last)} put it` : undefined;
  }

  #wrong({ type, kv }: LoggedChange['change'], record: Uint8Array, last: Last | undefined) {
    let before: KeyValue;
    try {
      before = decodeKeyValue(keyBytes(kv.key), record);
    } catch (thrown) {
      return `its previous record: ${messageOf(thrown)}`;
    }
    if (type === 'put' && !isNext(before, kv)) {
      return `version ${kv.version} comes after version ${before.version} of its previous record`;
    }
    if (!last) {
      const isGone = before.modRevision <= this.#compacted;
      return isGone ? undefined : `its previous record is of ${before.modRevision}, which has none`;
    }
    if (last.crc === undefined) return `has a previous record, but ${at(last)} deleted it`;
    return last.crc === crcOf(record)
      ? undefined
      : `its previous record is not what ${at(last)} put`;
  }
}

function at({ revision }: Last): string {
  return `log record ${revision}`;
}

function isNext(before: KeyValue, { createRevision, version }: KeyValue): boolean {
  return before.createRevision === createRevision && before.version + 1 === version;
}

/** It is over the key, too. */
function crcOf(record: Uint8Array): number {
  return asBuffer(record).readUInt32BE(0);
}
