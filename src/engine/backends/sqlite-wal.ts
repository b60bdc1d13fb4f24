/**
 * Looks for damage in a WAL. SQLite takes the first frame that fails its checksum for the end: right
 * after a crash, but a bit flipped in the middle silently loses the commits behind it. Checksums
 * go on from frame to frame, so frames behind the bad one that follow from each other were written with
 * this WAL. A commit is synced before the next one begins: if one of them ends a commit and the next
 * follows from it, then that commit was acknowledged, and the bad frame before it is damage, not a crash.
 *
 * What can't be told: a WAL that was cut off, and damage to the last commit, look as a crash leaves them.
 *
 * Format (https://www.sqlite.org/fileformat.html section 4): a header of 32 bytes (magic u32, version u32,
 * page size u32, checkpoint u32, salts 2 x u32, checksum 2 x u32), then frames: page u32, pages after the commit u32
 * (0: none), salts, checksum, the page. Checksums run over the header's first 24 bytes, and over each
 * frame's first 8 and its page, in the byte order that the magic's last bit says. Frames with other salts are older.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** Of a frame. */
const SALTS_AT = 8;
const SALT_BYTES = 8;
const MAGIC = 0x377f0682;
/** Of our stores, new ones and older ones: where the header doesn't say. */
const PAGES_BYTES = [2048, 4096];
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;

type Sum = readonly [number, number];

export interface WalProblem {
  /** Counted from 1; 0 is the header. */
  readonly frame: number;
  /** `warning`: a power cut in the middle of a commit may look the same; nothing acknowledged is behind it. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
}

/** Undefined for a WAL that is whole, absent, or ends as a crash leaves it. */
export function walProblem(file: string): WalProblem | undefined {
  if (!existsSync(file)) return undefined;
  const fd = openSync(file, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const got = readSync(fd, header, 0, HEADER_BYTES, 0);
    return got === 0 ? undefined : frameProblem(fd, header.subarray(0, got));
  } finally {
    closeSync(fd);
  }
}

function frameProblem(fd: number, header: Buffer): WalProblem | undefined {
  const isBig = header.length === HEADER_BYTES && (header.readUInt32BE(0) & 1) === 1;
  if (!isHeader(header, isBig)) {
    const salts = Buffer.alloc(SALT_BYTES);
    readSync(fd, salts, 0, SALT_BYTES, HEADER_BYTES + SALTS_AT);
    const isLost = PAGES_BYTES.some(
      (pageBytes) => walk(fd, { pageBytes, isBig, salts, start: [] }).isLost,
    );
    const what = 'the header of the WAL is damaged: SQLite ignores all that is in it';
    return { frame: 0, severity: isLost ? 'error' : 'warning', what };
  }
  const { bad, behind, isLost } = walk(fd, {
    pageBytes: header.readUInt32BE(8),
    isBig,
    salts: header.subarray(16, 16 + SALT_BYTES),
    start: [sumAt(header, 24)],
  });
  if (behind === 0) return undefined;
  const what = `frame ${bad} of the WAL is damaged: SQLite ignores it and ${behind} whole ones behind it`;
  return { frame: bad, severity: isLost ? 'error' : 'warning', what };
}

interface Wal {
  readonly pageBytes: number;
  readonly isBig: boolean;
  readonly salts: Buffer;
  /** What the first frame's checksum may follow from; none when the header is damaged. */
  readonly start: readonly Sum[];
}

interface Walked {
  /** The first frame that does not follow from those before. */
  readonly bad: number;
  /** Frames behind it that follow from the one before them. */
  readonly behind: number;
  /** A commit that was acknowledged is among those. */
  readonly isLost: boolean;
}

function walk(fd: number, { pageBytes, isBig, salts, start }: Wal): Walked {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + pageBytes);
  let before = start;
  let bad = 0;
  let behind = 0;
  /** The frames before this one, as far as each follows from the last, end a commit. */
  let isCommitted = false;
  let isLost = false;
  for (let n = 1, at = HEADER_BYTES; ; n += 1, at += frame.length) {
    if (readSync(fd, frame, 0, frame.length, at) < frame.length) return { bad, behind, isLost };
    const stored = sumAt(frame, 16);
    const isOurs = frame.subarray(SALTS_AT, SALTS_AT + SALT_BYTES).equals(salts);
    const endsCommit = frame.readUInt32BE(4) !== 0;
    const sums = before.map((sum) => frameSum(frame, sum, isBig));
    if (isOurs && sums.some((sum) => same(sum, stored))) {
      before = [stored];
      if (bad === 0) continue;
      behind += 1;
      isLost ||= isCommitted;
      isCommitted ||= endsCommit;
    } else if (bad === 0) {
      bad = n;
      isCommitted = endsCommit;
      // Either its data or its checksum is right.
      before = [stored, ...sums];
    } else {
      isCommitted = isOurs && endsCommit;
      before = isOurs ? [stored] : [];
    }
  }
}

function isHeader(header: Buffer, isBig: boolean): boolean {
  if (header.length < HEADER_BYTES) return false;
  const pageBytes = header.readUInt32BE(8);
  const isKnown = (header.readUInt32BE(0) & ~1) >>> 0 === MAGIC;
  const isSized = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX;
  const sum = checksum(header.subarray(0, 24), [0, 0], isBig);
  return isKnown && isSized && same(sum, sumAt(header, 24));
}

function frameSum(frame: Buffer, before: Sum, isBig: boolean): Sum {
  return checksum(
    frame.subarray(FRAME_HEADER_BYTES),
    checksum(frame.subarray(0, 8), before, isBig),
    isBig,
  );
}

function checksum(bytes: Buffer, [a, b]: Sum, isBig: boolean): Sum {
  for (let at = 0; at < bytes.length; at += 8) {
    a = (a + (isBig ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)) + b) >>> 0;
    b = (b + (isBig ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4)) + a) >>> 0;
  }
  return [a, b];
}

/** Stored big-endian, whatever the order they were computed in. */
function sumAt(bytes: Buffer, at: number): Sum {
  return [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
}

function same(a: Sum, b: Sum): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
