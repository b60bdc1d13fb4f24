/**
 * The user's keys as they are shown, and where they are in the engine: all under one prefix. Nothing
 * outside of it can be named through this API, whatever a key, a prefix or a bound says.
 */
import { isUtf8 } from 'node:buffer';
import { HoldfastError } from '../../../base/errors.ts';
import type { KeyValue, Span, WriteDurability } from '../../../engine/index.ts';
import type { KvBody, SpanBody } from './schema.ts';

const USER_PREFIX = 'kv';
/** Follows every user's key: `0` is the byte after `/`. */
const USER_END = 'kv0';
/** The engine takes keys of 1024 bytes; ours have `kv/` in front. */
const USER_KEY_BYTES_MAX = 1021;

/** Whole: the byte order mark is part of a value. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function isUserKey(engineKey: string): boolean {
  return engineKey.startsWith(`${USER_PREFIX}/`);
}

export function shownKey(engineKey: string): string {
  return engineKey.slice(USER_PREFIX.length + 1);
}

/** The engine's own rules: a leading `/` is the same key. @throws InvalidArgument */
export function userKey(key: string): string {
  const bare = withoutSlash(key);
  const bytes = Buffer.byteLength(bare);
  if (bytes > USER_KEY_BYTES_MAX) {
    throw new HoldfastError(
      'InvalidArgument',
      `the key is ${bytes} bytes long, at most ${USER_KEY_BYTES_MAX} are allowed`,
    );
  }
  if (bare === '' || bare.includes('\0') || bare.split('/').includes('')) {
    const shown = JSON.stringify(bare.length > 64 ? `${bare.slice(0, 64)}…` : bare);
    throw new HoldfastError(
      'InvalidArgument',
      `${shown} is not a key: it is empty, or has an empty segment or a NUL`,
      {
        hint: 'a key is text such as app/settings/color, its segments separated by single slashes',
      },
    );
  }
  return `${USER_PREFIX}/${bare}`;
}

/** `''` is all of the user's keys; a trailing `/` changes nothing. */
export function userPrefix(prefix = ''): string {
  const bare = withoutSlash(prefix).replace(/\/$/, '');
  return bare === '' ? USER_PREFIX : userKey(bare);
}

/** @param where for the message. @throws InvalidArgument when not exactly one way to name keys was used */
export function userSpan(span: SpanBody, where: string): Span {
  const { key, prefix, fromKey, beforeKey } = span;
  const range = fromKey !== undefined || beforeKey !== undefined;
  const ways = [key !== undefined, prefix !== undefined, range].filter(Boolean).length;
  if (ways !== 1) {
    throw new HoldfastError(
      'InvalidArgument',
      `${where} must name its keys in one way: by "key", "prefix", or "fromKey" and "beforeKey"`,
    );
  }
  if (key !== undefined) return { key: userKey(key) };
  if (prefix !== undefined) return { prefix: userPrefix(prefix) };
  return {
    from: `${USER_PREFIX}/${withoutSlash(fromKey ?? '')}`,
    before: beforeKey === undefined ? USER_END : `${USER_PREFIX}/${withoutSlash(beforeKey)}`,
  };
}

/** The same where nothing named means all. */
export function userSpanOrAll(span: SpanBody, where: string): Span {
  const none = [span.key, span.prefix, span.fromKey, span.beforeKey].every(
    (part) => part === undefined,
  );
  return none ? { prefix: USER_PREFIX } : userSpan(span, where);
}

export function kvBody(kv: KeyValue): KvBody {
  const bytes = Buffer.from(kv.value.buffer, kv.value.byteOffset, kv.value.byteLength);
  const text = isUtf8(bytes) ? { text: decoder.decode(bytes) } : {};
  return { ...keyBody(kv), value: bytes.toString('base64'), ...text };
}

/** Without the value. */
export function keyBody(kv: KeyValue): Omit<KvBody, 'value' | 'text'> {
  const { createRevision, modRevision, version, lease } = kv;
  const body = { key: shownKey(kv.key), createRevision, modRevision, version };
  return lease === undefined ? body : { ...body, lease };
}

/** Undefined: as the store does it. */
export function durabilityOf(relaxedMs: number | undefined): WriteDurability | undefined {
  return relaxedMs === undefined ? undefined : { relaxedMs };
}

/** The engine's errors name its own keys; the user's are without our prefix. */
export async function inWordsOf<T>(keys: readonly string[], work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError)) throw thrown;
    const named = keys.find((key) => thrown.message.includes(key));
    if (named === undefined) throw thrown;
    const message = thrown.message.replace(named, () => shownKey(named));
    const { hint, retry } = thrown;
    throw new HoldfastError(thrown.code, message, { hint, retry, cause: thrown });
  }
}

function withoutSlash(text: string): string {
  return text.startsWith('/') ? text.slice(1) : text;
}
