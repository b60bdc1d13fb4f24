/** How much of a list is one answer. */
import type { Entry } from './backend.ts';
import type { KeyValue } from './engine.ts';

export interface PageLimits {
  /** Most keys; Infinity for all. */
  readonly limit: number;
  /** Bytes of values after which it ends, never before the first key; Infinity for all. */
  readonly bytesMax: number;
}

export interface Page {
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}

/** What of `kvs` is within the limits. */
export function pageOf(kvs: readonly KeyValue[], { limit, bytesMax }: PageLimits): Page {
  let count = 0;
  for (let bytes = 0; count < kvs.length && count < limit && bytes < bytesMax; count += 1) {
    bytes += kvs[count]!.value.length;
  }
  const more = count < kvs.length;
  return { kvs: more ? kvs.slice(0, count) : kvs, more };
}

/** Whether the backend ended there because of the bytes: then there may be more. */
export function isCut(entries: readonly Entry[], bytesMax: number): boolean {
  let bytes = 0;
  for (const { value } of entries) bytes += value.length;
  return bytes >= bytesMax;
}
