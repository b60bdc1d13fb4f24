import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import path from 'node:path';
import { KiB, MiB } from '../../base/bytes.ts';

/** A sysfs attribute is at most one page: what fills it all may have been cut, and counts as unknown. */
const VALUE_BYTES_MAX = 4 * KiB;
/** mountinfo of a host with some 50,000 mounts; what is longer is refused, not read in part. */
const FILE_BYTES_MAX = 16 * MiB;

/** Never waits for a writer (a FIFO in a recorded tree), never follows into a terminal, never writes. */
const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const scratch = Buffer.allocUnsafe(VALUE_BYTES_MAX);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The small files the kernel and udev describe a host with, under a root that tests replace by a
 * recorded tree. Anything that can't be read is `undefined` or empty: a device may vanish between
 * two reads, and an attribute that is missing is a fact we don't have, not an error.
 *
 * Reads are synchronous: an attribute in memory costs some 20 µs, far less than four trips through
 * libuv's thread pool, whose threads a sick disk may be holding. Callers yield between devices.
 */
export class Tree {
  readonly root: string;

  constructor(root = '/') {
    this.root = root;
  }

  at(file: string): string {
    return path.join(this.root, file);
  }

  /** A file of less than a page: an attribute. */
  bytes(file: string): Buffer | undefined {
    const page = this.head(file);
    return page && page.length < VALUE_BYTES_MAX ? page : undefined;
  }

  /** The first page of a file, for what begins with what matters (cpuinfo: a page of it per processor). */
  head(file: string): Buffer | undefined {
    let fd: number | undefined;
    try {
      fd = openSync(this.at(file), READ_ONLY);
      const length = readSync(fd, scratch, 0, VALUE_BYTES_MAX, 0);
      return Buffer.from(scratch.subarray(0, length));
    } catch {
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** A value as text without surrounding blanks; undefined when missing or empty. */
  text(file: string): string | undefined {
    const bytes = this.bytes(file);
    return bytes && decodeValue(bytes);
  }

  /** A decimal number that is exact as a JavaScript number. */
  number(file: string): number | undefined {
    return parseCount(this.text(file));
  }

  /** `1` or `0`. */
  flag(file: string): boolean | undefined {
    const text = this.text(file);
    return text === '1' ? true : text === '0' ? false : undefined;
  }

  /** Entries of a directory, sorted; none when it isn't there. */
  list(dir: string): string[] {
    try {
      return readdirSync(this.at(dir)).sort();
    } catch {
      return [];
    }
  }

  /** True when there is something, whatever it is; a symlink that leads nowhere is nothing. */
  exists(file: string): boolean {
    return existsSync(this.at(file));
  }

  /** Where a symlink leads, one step, as a path under the root. */
  follow(link: string): string | undefined {
    try {
      const target = readlinkSync(this.at(link));
      return path.posix.join('/', path.posix.dirname(link), target).slice(1);
    } catch {
      return undefined;
    }
  }

  /** A whole file, for the long ones (mountinfo). */
  whole(file: string): Buffer | undefined {
    try {
      const bytes = readFileSync(this.at(file));
      return bytes.length <= FILE_BYTES_MAX ? bytes : undefined;
    } catch {
      return undefined;
    }
  }
}

/**
 * Bytes of an attribute as text: UTF-8, or else ASCII with the other bytes as `\xNN`, so that
 * different bytes don't become one replacement character. Padding (blanks, NUL) at the ends goes; control
 * characters inside become `\xNN`. Undefined when nothing is left.
 */
export function decodeValue(bytes: Uint8Array): string | undefined {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    text = Buffer.from(bytes)
      .toString('latin1')
      .replace(/[\x80-\xff]/g, escapeByte);
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  text = text.replace(/^[\s\0]+|[\s\0]+$/g, '').replace(/[\x00-\x1f\x7f]/g, escapeByte);
  return text === '' ? undefined : text;
}

function escapeByte(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const count = Number(text);
  return Number.isSafeInteger(count) ? count : undefined;
}
