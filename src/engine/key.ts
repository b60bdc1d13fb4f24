import { HoldfastError } from '../base/errors.ts';
import { KEY_BYTES_MAX } from './limits.ts';

const LONE_SURROGATE = /\p{Surrogate}/u;
const KEY_HINT = 'keys are /-separated text with no empty segment, like volumes/0192/spec';

/** Checks a key and takes its leading `/` away. @throws InvalidArgument, TooLarge */
export function normalizeKey(key: string): string {
  return checkPath('key', key);
}

/** A path prefix without its slashes at the ends; `''` covers all. @throws InvalidArgument, TooLarge */
export function normalizePrefix(prefix: string): string {
  if (prefix === '' || prefix === '/') return '';
  return checkPath('prefix', prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
}

/** The bound of a range without its leading `/`: any text that a key could come before. @throws InvalidArgument, TooLarge */
export function normalizeBound(bound: string): string {
  const text = bound.startsWith('/') ? bound.slice(1) : bound;
  // One more than a key: it may be a key and a NUL.
  checkText('bound', text, KEY_BYTES_MAX + 1);
  return text;
}

function checkPath(what: string, text: string): string {
  const path = text.startsWith('/') ? text.slice(1) : text;
  if (path === '') throw invalid(`the ${what} is empty`);
  if (path.startsWith('/') || path.endsWith('/') || path.includes('//')) {
    throw invalid(`the ${what} ${JSON.stringify(brief(text))} has an empty segment`);
  }
  if (path.includes('\0')) throw invalid(`the ${what} contains a NUL`);
  checkText(what, path, KEY_BYTES_MAX);
  return path;
}

function checkText(what: string, text: string, bytesMax: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) {
    throw new HoldfastError(
      'TooLarge',
      `the ${what} is ${bytes} bytes long, ${bytesMax} are allowed`,
      { hint: 'put long names into the value and an id into the key' },
    );
  }
  if (bytes !== text.length && LONE_SURROGATE.test(text)) {
    throw invalid(`the ${what} is not well-formed Unicode (a lone surrogate)`);
  }
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('InvalidArgument', message, { hint: KEY_HINT });
}

/** Enough of a name to recognise it in a message. */
function brief(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

export function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'utf8');
}

export function keyText(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('utf8');
}

/** The same memory with Buffer's methods; most of what comes along is a Buffer already. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The bytes between which every key under `prefix` lies: `foo/` up to `foo0`, as `0` follows `/`. */
export function prefixRange(prefix: string): { from: Buffer; before: Buffer | undefined } {
  if (prefix === '') return { from: Buffer.alloc(0), before: undefined };
  return { from: keyBytes(`${prefix}/`), before: keyBytes(`${prefix}0`) };
}

/** The first key after `key` in byte order. */
export function keyAfter(key: string): Buffer {
  return keyBytes(`${key}\0`);
}

/** Every prefix that covers `key`: `''`, `a`, `a/b` for `a/b/c`. */
export function* prefixesOf(key: string): Generator<string> {
  yield '';
  for (let at = key.indexOf('/'); at !== -1; at = key.indexOf('/', at + 1)) {
    yield key.slice(0, at);
  }
}
