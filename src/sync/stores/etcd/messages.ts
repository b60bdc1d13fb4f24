/** The messages of definition.ts as TypeScript sees them. 64-bit numbers are text when they come. */

export interface ResponseHeader {
  readonly cluster_id: string;
  readonly member_id: string;
  readonly revision: string;
}

export interface EtcdKeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly version: string;
}

export interface RangeRequest {
  readonly key: Uint8Array;
  /** Absent: the one key. See `prefixEnd`. */
  readonly range_end?: Uint8Array;
  readonly limit?: number;
  /** Text or number; 0 = now. */
  readonly revision?: string | number;
  readonly serializable?: boolean;
  readonly keys_only?: boolean;
}

export interface RangeResponse {
  readonly header: ResponseHeader | null;
  readonly kvs: readonly EtcdKeyValue[];
  /** True when `limit` cut the answer. */
  readonly more: boolean;
  /** All keys in the range, whatever `limit` says. */
  readonly count: string;
}

export interface PutRequest {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface DeleteRangeRequest {
  readonly key: Uint8Array;
  readonly range_end?: Uint8Array;
}

export interface Compare {
  readonly result: 'EQUAL' | 'GREATER' | 'LESS' | 'NOT_EQUAL';
  readonly target: 'MOD' | 'CREATE' | 'VERSION' | 'VALUE';
  readonly key: Uint8Array;
  readonly mod_revision?: string | number;
  readonly create_revision?: string | number;
  readonly version?: string | number;
  readonly value?: Uint8Array;
}

/** Exactly one of them. */
export interface RequestOp {
  readonly request_range?: RangeRequest;
  readonly request_put?: PutRequest;
  readonly request_delete_range?: DeleteRangeRequest;
}

export interface ResponseOp {
  readonly response_range?: RangeResponse | null;
}

/** `success` runs when every compare holds, else `failure`; 128 of each at most (`--max-txn-ops`). */
export interface TxnRequest {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure?: readonly RequestOp[];
}

export interface TxnResponse {
  readonly header: ResponseHeader | null;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export interface StatusResponse {
  readonly header: ResponseHeader | null;
  readonly version: string;
  readonly dbSize: string;
  readonly leader: string;
  readonly errors: readonly string[];
  readonly isLearner: boolean;
}

/** The end of the range that holds every key beginning with `prefix` (etcd's own rule). */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = Buffer.from(prefix);
  for (let last = end.length - 1; last >= 0; last--) {
    if (end[last]! < 0xff) {
      end[last]! += 1;
      return end.subarray(0, last + 1);
    }
  }
  // All 0xff: every key from the prefix on.
  return Buffer.from([0]);
}
