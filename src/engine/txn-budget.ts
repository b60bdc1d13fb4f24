/** What one transaction may still read: it holds the main loop, and its answer is in memory at once. */
import { HoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { TXN_RANGE_BYTES_MAX, TXN_RANGE_KEYS_MAX } from './limits.ts';
import type { KeyValue } from './engine.ts';

export class TxnBudget {
  #keys = 0;
  #bytes = 0;

  /** Keys met by prefixes and ranges. */
  get keys(): number {
    return this.#keys;
  }

  /** A key met by a prefix or a range. @throws TooLarge */
  meet(kv: KeyValue): void {
    this.#keys += 1;
    if (this.#keys > TXN_RANGE_KEYS_MAX) {
      throw tooLarge(`meet more than ${TXN_RANGE_KEYS_MAX} keys`);
    }
    this.carry(kv);
  }

  /** A value that is answered. @throws TooLarge */
  carry(kv: KeyValue): void {
    this.#bytes += kv.value.length;
    if (this.#bytes > TXN_RANGE_BYTES_MAX) {
      throw tooLarge(`read more than ${formatBytes(TXN_RANGE_BYTES_MAX)} of values`);
    }
  }
}

function tooLarge(what: string): HoldfastError {
  return new HoldfastError('TooLarge', `the operations of the transaction ${what}`, {
    hint: 'take fewer keys at a time: list them, and name a range up to one of them',
  });
}
