/** What a transaction is made of and what it answers; `Engine.transact` says what it promises. */
import type { KeyValue, Span, WriteDurability } from './engine.ts';

/**
 * Holds when it holds for every key of the span, as in etcd. A key that isn't there, and a span without
 * any, has 0 for each number; a comparison of its value never holds, whatever the operator.
 */
export type Compare = Span & (NumberCompare | ValueCompare);

export type CompareOperator = '=' | '!=' | '<' | '>';

export interface NumberCompare {
  /** `lease` is 0 for a key under none. */
  readonly target: 'version' | 'createRevision' | 'modRevision' | 'lease';
  readonly operator: CompareOperator;
  /** A whole number from 0. */
  readonly value: number;
}

export interface ValueCompare {
  readonly target: 'value';
  /** `<` and `>` in the order of the bytes. */
  readonly operator: CompareOperator;
  readonly value: Uint8Array;
}

export type TxnOp = PutOp | DeleteOp | GetOp;

export interface PutOp {
  readonly type: 'put';
  readonly key: string;
  readonly value: Uint8Array;
  /** The lease the key is put under; without one it leaves the lease it was under. */
  readonly lease?: number | undefined;
  /** The answer carries what was there before. */
  readonly previous?: boolean | undefined;
}

export type DeleteOp = Span & {
  readonly type: 'delete';
  /** The answer carries what was deleted. */
  readonly previous?: boolean | undefined;
};

export type GetOp = Span & {
  readonly type: 'get';
  /** At most this many keys; default all. */
  readonly limit?: number | undefined;
};

export interface Transaction {
  readonly compares?: readonly Compare[] | undefined;
  /** Done, in order, when all of `compares` hold (or there are none). */
  readonly then?: readonly TxnOp[] | undefined;
  /** Done, in order, when one does not. */
  readonly else?: readonly TxnOp[] | undefined;
  /** Default: the store's own (`OpenOptions`). */
  readonly durability?: WriteDurability | undefined;
}

/** One for each op of the branch that was taken, at the op's place. */
export type TxnOpResult = PutResult | DeleteResult | GetResult;

export interface PutResult {
  readonly type: 'put';
  /** On request; absent for a key that wasn't there. */
  readonly previous?: KeyValue | undefined;
}

export interface DeleteResult {
  readonly type: 'delete';
  /** Keys deleted. */
  readonly deleted: number;
  /** On request: those keys as they were, in key order. */
  readonly previous?: readonly KeyValue[] | undefined;
}

export interface GetResult {
  readonly type: 'get';
  /** In key order. What this transaction has put before this op has its revision already. */
  readonly kvs: readonly KeyValue[];
  /** True when `limit` cut the answer. */
  readonly more: boolean;
}

export interface TransactionResult {
  /** All compares held: `then` was done; otherwise `else`. */
  readonly succeeded: boolean;
  /** The one it took; when it changed nothing, the last one before it. */
  readonly revision: number;
  readonly results: readonly TxnOpResult[];
}
