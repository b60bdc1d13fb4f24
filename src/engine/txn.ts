/**
 * What the writer is given to do: a transaction as asked for, checked and copied, so that the caller may
 * reuse its buffers; or the beginning or the end of a lease.
 */
import { HoldfastError } from '../base/errors.ts';
import { formatBytes } from '../base/bytes.ts';
import { normalizeKey } from './key.ts';
import { TXN_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX } from './limits.ts';
import type { Condition, Op } from './engine.ts';

/** What a grant or an end takes in the queue, about: enough that a flood of them is refused too. */
const LEASE_JOB_BYTES = 64;

interface Sized {
  /** Operations, about, for the limit of the batch. */
  readonly weight: number;
  /** Keys and values, for the limits of batch and queue. */
  readonly bytes: number;
}

export interface Txn extends Sized {
  readonly type: 'txn';
  readonly conditions: readonly Condition[];
  readonly ops: readonly Op[];
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

/** @throws InvalidArgument, TooLarge */
export function checkTxn(conditions: readonly Condition[], ops: readonly Op[]): Txn {
  if (ops.length > TXN_OPS_MAX || conditions.length > TXN_OPS_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `the transaction has ${ops.length} operations and ${conditions.length} conditions, ` +
        `${TXN_OPS_MAX} of each are allowed`,
    );
  }
  const checkedConditions = conditions.map(checkCondition);
  const checkedOps = ops.map(checkOp);
  if (new Set(checkedOps.map((op) => op.key)).size !== ops.length) {
    throw new HoldfastError('InvalidArgument', 'the transaction names the same key twice', {
      hint: 'give each key one operation: all of them happen at one revision',
    });
  }
  let bytes = 0;
  for (const op of checkedOps) {
    bytes += op.key.length + (op.type === 'put' ? op.value.length : 0);
  }
  if (bytes > TXN_BYTES_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `the transaction has ${formatBytes(bytes)}, ${formatBytes(TXN_BYTES_MAX)} are allowed`,
    );
  }
  return {
    type: 'txn',
    conditions: checkedConditions,
    ops: checkedOps,
    weight: ops.length,
    bytes,
  };
}

function checkCondition(condition: Condition): Condition {
  const { modRevision } = condition;
  if (!Number.isSafeInteger(modRevision) || modRevision < 0) {
    throw new HoldfastError(
      'InvalidArgument',
      `the expected revision ${String(modRevision)} is not a whole number from 0`,
      { hint: 'use the modRevision of an earlier read, or 0 for "must not exist"' },
    );
  }
  return { key: normalizeKey(condition.key), modRevision };
}

function checkOp(op: Op): Op {
  const key = normalizeKey(op.key);
  if (op.type === 'delete') return { type: 'delete', key };
  if (!(op.value instanceof Uint8Array)) {
    throw new HoldfastError('InvalidArgument', `the value of ${key} is not bytes`);
  }
  if (op.value.length > VALUE_BYTES_MAX) {
    throw new HoldfastError(
      'TooLarge',
      `the value of ${key} is ${formatBytes(op.value.length)}, ` +
        `${formatBytes(VALUE_BYTES_MAX)} are allowed`,
      { hint: 'keep large data on a volume and its path in the store' },
    );
  }
  const { lease } = op;
  if (lease !== undefined && !isLeaseId(lease)) {
    throw new HoldfastError('InvalidArgument', `the lease ${String(lease)} of ${key} is not an id`);
  }
  return { type: 'put', key, value: new Uint8Array(op.value), lease };
}

function isLeaseId(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0;
}
