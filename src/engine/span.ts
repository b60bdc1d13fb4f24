/** A span as asked for, checked: the bytes between which its keys lie, and how to tell one of them. */
import { HoldfastError } from '../base/errors.ts';
import {
  keyAfter,
  keyBytes,
  normalizeBound,
  normalizeKey,
  normalizePrefix,
  prefixRange,
} from './key.ts';
import type { Span } from './engine.ts';

export type KeySpan =
  | { readonly type: 'key'; readonly key: string }
  | ({ readonly type: 'prefix'; readonly prefix: string } & KeyRange)
  | ({ readonly type: 'range' } & KeyRange);

/** Keys in the order of their bytes. */
export interface KeyRange {
  /** First key, included. */
  readonly from: Buffer;
  /** End, not included; undefined: to the last key. */
  readonly before: Buffer | undefined;
}

/** @param span text is a prefix. @throws InvalidArgument, TooLarge */
export function checkSpan(span: string | Span): KeySpan {
  if (typeof span === 'string') return prefixSpan(span);
  const { key, prefix, from, before }: Partial<Record<string, string | undefined>> = span;
  const given = [key, prefix, from].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new HoldfastError(
      'InvalidArgument',
      `${given.length} of key, prefix and from say which keys are meant: it has to be one`,
      { hint: 'like { key: "a/b" }, { prefix: "a" } or { from: "a", before: "b" }' },
    );
  }
  if (key !== undefined) return { type: 'key', key: normalizeKey(key) };
  if (prefix !== undefined) return prefixSpan(prefix);
  return rangeSpan(given[0]!, before);
}

function prefixSpan(text: string): KeySpan {
  const prefix = normalizePrefix(text);
  return { type: 'prefix', prefix, ...prefixRange(prefix) };
}

function rangeSpan(start: string, end: string | undefined): KeySpan {
  const from = keyBytes(normalizeBound(start));
  if (end === undefined) return { type: 'range', from, before: undefined };
  const before = keyBytes(normalizeBound(end));
  if (before.length > 0) return { type: 'range', from, before };
  throw new HoldfastError('InvalidArgument', 'no key comes before an empty bound', {
    hint: 'a range without `before` goes on to the last key',
  });
}

/** The bytes between which its keys lie. */
export function rangeOf(span: KeySpan): KeyRange {
  if (span.type !== 'key') return span;
  return { from: keyBytes(span.key), before: keyAfter(span.key) };
}

export function covers(span: KeySpan, key: string): boolean {
  switch (span.type) {
    case 'key':
      return key === span.key;
    case 'prefix':
      return span.prefix === '' || key.startsWith(`${span.prefix}/`);
    case 'range':
      return isWithin(span, keyBytes(key));
  }
}

export function isWithin({ from, before }: KeyRange, key: Uint8Array): boolean {
  return (
    Buffer.compare(key, from) >= 0 && (before === undefined || Buffer.compare(key, before) < 0)
  );
}

/** What of the range lies behind `key`. */
export function rangeAfter(range: KeyRange, key: string): KeyRange {
  const start = keyAfter(key);
  return { from: Buffer.compare(start, range.from) > 0 ? start : range.from, before: range.before };
}
