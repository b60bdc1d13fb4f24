/**
 * What the writer is given to do: a transaction as asked for, checked and copied, so that the caller may
 * reuse its buffers; or the beginning or the end of a lease.
 */
import { HoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { isOperator } from './compare.ts';
import { asBuffer, normalizeKey } from './key.ts';
import { TXN_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX } from './limits.ts';
import { copyOf } from './log.ts';
import { assertDistinct } from './distinct.ts';
import { checkDurability } from './relaxed.ts';
import { checkSpan, type KeySpan } from './span.ts';
import type { Condition, Op, WriteDurability } from './engine.ts';
import type { Compare, CompareOperator, NumberCompare, Transaction, TxnOp } from './transaction.ts';

/** What a grant or an end takes in the queue, about: enough that a flood of them is refused too. */
const LEASE_JOB_BYTES = 64;

interface Sized {
  /** Operations, about, for the limit of the batch. */
  readonly weight: number;
  /** Keys and values, for the limits of batch and queue. */
  readonly bytes: number;
}

export type CheckedCompare = { readonly span: KeySpan; readonly operator: CompareOperator } & (
  | { readonly target: NumberCompare['target']; readonly value: number }
  | { readonly target: 'value'; readonly value: Uint8Array }
);

export type CheckedOp =
  | {
      readonly type: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      readonly lease: number | undefined;
      readonly previous: boolean;
    }
  | { readonly type: 'delete'; readonly span: KeySpan; readonly previous: boolean }
  | { readonly type: 'get'; readonly span: KeySpan; readonly limit: number };

export interface Txn extends Sized {
  readonly type: 'txn';
  readonly compares: readonly CheckedCompare[];
  readonly then: readonly CheckedOp[];
  readonly else: readonly CheckedOp[];
  /** Synced within so long; undefined: before it is answered. */
  readonly relaxedMs: number | undefined;
}

export type Job =
  | Txn
  | (Sized & { readonly type: 'grant'; readonly lease: number; readonly ttlSeconds: number })
  | (Sized & { readonly type: 'revoke'; readonly lease: number });

export function grantJob(lease: number, ttlSeconds: number): Job {
  return { type: 'grant', lease, ttlSeconds, weight: 1, bytes: LEASE_JOB_BYTES };
}

/** @param keys about how many keys are under it */
export function revokeJob(lease: number, keys: number): Job {
  return { type: 'revoke', lease, weight: 1 + keys, bytes: LEASE_JOB_BYTES };
}

/** All of `ops` if all of `conditions` hold. @throws InvalidArgument, TooLarge */
export function checkTxn(
  conditions: readonly Condition[],
  ops: readonly Op[],
  durability: WriteDurability,
): Txn {
  return checkTransaction({ compares: conditions.map(compareOf), then: ops }, durability);
}

/** @throws InvalidArgument, TooLarge */
export function checkTransaction(transaction: Transaction, ofStore: WriteDurability): Txn {
  const { compares = [], then = [], else: otherwise = [], durability = ofStore } = transaction;
  const most = Math.max(compares.length, then.length, otherwise.length);
  if (most > TXN_OPS_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `the transaction has ${compares.length} compares, and branches of ${then.length} and ` +
        `${otherwise.length} operations, ${TXN_OPS_MAX} of each are allowed`,
    );
  }
  const txn = {
    compares: compares.map(checkCompare),
    then: then.map(checkOp),
    else: otherwise.map(checkOp),
    relaxedMs: checkDurability(durability),
  };
  assertDistinct(txn.then);
  assertDistinct(txn.else);
  const bytes = bytesOf(txn.compares) + bytesOf(txn.then) + bytesOf(txn.else);
  if (bytes > TXN_BYTES_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `the transaction has ${formatBytes(bytes)}, ${formatBytes(TXN_BYTES_MAX)} are allowed`,
    );
  }
  return { type: 'txn', ...txn, weight: Math.max(then.length, otherwise.length), bytes };
}

function compareOf({ key, modRevision }: Condition): Compare {
  return { key, target: 'modRevision', operator: '=', value: modRevision };
}

function checkCompare(compare: Compare): CheckedCompare {
  const { operator } = compare;
  const span = checkSpan(compare);
  if (!isOperator(operator)) {
    throw new HoldfastError('InvalidArgument', `${String(operator)} compares nothing`, {
      hint: 'use one of = != < >',
    });
  }
  if (compare.target === 'value') {
    const value = checkValue(compare.value, 'the value to compare with');
    return { span, operator, target: 'value', value };
  }
  const { target, value } = compare;
  if (!Number.isSafeInteger(value) || value < 0) {
    const what = target === 'modRevision' ? 'expected revision' : `${target} to compare with`;
    throw new HoldfastError(
      'InvalidArgument',
      `the ${what} ${String(value)} is not a whole number from 0`,
      { hint: 'use what an earlier read gave, or 0 for "must not exist"' },
    );
  }
  return { span, operator, target, value };
}

function checkOp(op: TxnOp): CheckedOp {
  if (op.type === 'delete') {
    return { type: 'delete', span: checkSpan(op), previous: op.previous ?? false };
  }
  if (op.type === 'get') return { type: 'get', span: checkSpan(op), limit: checkLimit(op.limit) };
  const key = normalizeKey(op.key);
  const value = checkValue(op.value, `the value of ${key}`);
  const { lease } = op;
  if (lease !== undefined && !isLeaseId(lease)) {
    throw new HoldfastError('InvalidArgument', `the lease ${String(lease)} of ${key} is not an id`);
  }
  return { type: 'put', key, value, lease, previous: op.previous ?? false };
}

/** A copy. */
function checkValue(value: Uint8Array, what: string): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new HoldfastError('InvalidArgument', `${what} is not bytes`);
  }
  if (value.length > VALUE_BYTES_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `${what} is ${formatBytes(value.length)}, ${formatBytes(VALUE_BYTES_MAX)} are allowed`,
      { hint: 'keep large data on a volume and its path in the store' },
    );
  }
  return copyOf(asBuffer(value), 0, value.length);
}

/** @throws InvalidArgument */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new HoldfastError(
    'InvalidArgument',
    `the limit ${String(limit)} is not a whole number from 1`,
  );
}

function isLeaseId(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0;
}

function bytesOf(parts: readonly (CheckedCompare | CheckedOp)[]): number {
  let bytes = 0;
  for (const part of parts) {
    bytes += 'span' in part ? spanBytes(part.span) : part.key.length;
    if ('value' in part && typeof part.value !== 'number') bytes += part.value.length;
  }
  return bytes;
}

function spanBytes(span: KeySpan): number {
  return span.type === 'key' ? span.key.length : span.from.length + (span.before?.length ?? 0);
}
