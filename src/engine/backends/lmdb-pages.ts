/**
 * Walks an LMDB file's trees page by page, by reading, never by mapping: LMDB trusts what it maps, so a
 * damaged page makes it abort the process, read beyond a page's end or skip keys without a word. What
 * passes here can be walked safely; whether the values are right is what our own checksums say.
 *
 * The format (mdb.c of lmdb-js' LMDB, little-endian): a page begins with its number u64, transaction u64,
 * pad u16, flags u16, then lower u16 and upper u16 (offsets from the end of this 24-byte header; lower is
 * also twice the number of nodes), or for an overflow run its number of pages u32. Then one u16 per node:
 * its offset, from the same base. A node is lo u16, hi u16, flags u16, keyLength u16, key, data; in a leaf
 * hi:lo is the data's length, in a branch flags:hi:lo the child's page. Data marked "big" is 24 bytes: the
 * overflow run's first page u64, transaction u64, pages u64. Data marked "sub" is the record of a named tree.
 * A tree's record is 48 bytes: pad u32, flags u16, depth u16, then branch pages, leaf pages, overflow
 * pages, entries and root page, u64 each.
 */
import { readSync } from 'node:fs';
import { corrupt } from '../log.ts';

export const PAGE_BYTES = 4096;
export const TREE_RECORD_BYTES = 48;

const HEADER_BYTES = 24;
const ROOM_BYTES = PAGE_BYTES - HEADER_BYTES;
const FLAGS_AT = 18;
const LOWER_AT = 20;
const UPPER_AT = 22;
const RUN_PAGES_AT = 20;
/** The flags that say what a page is; the others are LMDB's own bookkeeping. */
const KIND_MASK = 0x7f;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const NODE_BYTES = 8;
const NODE_BIG = 0x01;
const NODE_SUB = 0x02;
const BIG_RECORD_BYTES = 24;
/** LMDB's own bound (CURSOR_STACK). */
const DEPTH_MAX = 32;
const NO_ROOT = 0xffff_ffff_ffff_ffffn;

interface Tree {
  readonly name: string;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  seen: { branches: number; leaves: number; overflows: number; entries: number };
}

export interface LmdbFile {
  readonly fd: number;
  readonly sizeBytes: number;
  /** Pages at or after this number belong to no tree. */
  readonly pages: number;
}

/**
 * @param mainRecord of the tree that names the others
 * @returns their names. @throws Corrupt
 */
export function checkTrees(file: LmdbFile, freeRecord: Buffer, mainRecord: Buffer): Set<string> {
  new Walk(file).tree('free pages', freeRecord);
  const named = new Walk(file);
  named.tree('names', mainRecord);
  for (const [name, record] of named.subTrees) new Walk(file).tree(name, record);
  return new Set(named.subTrees.keys());
}

class Walk {
  readonly subTrees = new Map<string, Buffer>();
  readonly #file: LmdbFile;
  /** One page per level: a parent is not read again after its children. */
  readonly #levels: Buffer[] = [];

  constructor(file: LmdbFile) {
    this.#file = file;
  }

  tree(name: string, record: Buffer): void {
    const tree: Tree = {
      name,
      branches: u64(record, 8),
      leaves: u64(record, 16),
      overflows: u64(record, 24),
      entries: u64(record, 32),
      seen: { branches: 0, leaves: 0, overflows: 0, entries: 0 },
    };
    const depth = record.readUInt16LE(6);
    if (depth > DEPTH_MAX) throw corrupt(`the tree of ${name} claims ${depth} levels`);
    if (record.readBigUInt64LE(40) !== NO_ROOT) this.#page(tree, u64(record, 40), depth);
    for (const kind of ['branches', 'leaves', 'overflows', 'entries'] as const) {
      if (tree.seen[kind] === tree[kind]) continue;
      throw corrupt(
        `the tree of ${name} has ${tree.seen[kind]} ${kind}, its record says ${tree[kind]}`,
      );
    }
  }

  #page(tree: Tree, number: number, levels: number): void {
    const page = this.#read(tree, number, levels);
    const kind = page.readUInt16LE(FLAGS_AT) & KIND_MASK;
    const wanted = levels > 1 ? BRANCH : LEAF;
    if (kind !== wanted) {
      throw damaged(tree, number, `is of kind ${kind}, ${wanted} belongs there`);
    }
    const lower = page.readUInt16LE(LOWER_AT);
    const upper = page.readUInt16LE(UPPER_AT);
    if (lower % 2 !== 0 || lower > upper || upper > ROOM_BYTES) {
      throw damaged(tree, number, `has its free room from ${lower} to ${upper}`);
    }
    const count = lower / 2;
    const nodes = Array.from({ length: count }, (_, i) =>
      this.#node(tree, number, page, i, wanted),
    );
    if (wanted === LEAF) {
      tree.seen.leaves += 1;
      tree.seen.entries += count;
      return;
    }
    tree.seen.branches += 1;
    if (tree.seen.branches > tree.branches) throw damaged(tree, number, 'is one too many');
    for (const at of nodes) this.#page(tree, childOf(page, at), levels - 1);
  }

  /** @returns where the node begins; all of it lies within the page */
  #node(tree: Tree, number: number, page: Buffer, i: number, kind: number): number {
    const at = HEADER_BYTES + page.readUInt16LE(HEADER_BYTES + 2 * i);
    const keyEnd =
      at + NODE_BYTES + (at + NODE_BYTES <= PAGE_BYTES ? page.readUInt16LE(at + 6) : 0);
    if (keyEnd > PAGE_BYTES) throw damaged(tree, number, `has node ${i} beyond its end`);
    if (kind === BRANCH) return at;

    const flags = page.readUInt16LE(at + 4);
    const length = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000;
    const isBig = (flags & NODE_BIG) !== 0;
    if (keyEnd + (isBig ? BIG_RECORD_BYTES : length) > PAGE_BYTES) {
      throw damaged(tree, number, `has node ${i} beyond its end`);
    }
    if (isBig) this.#overflow(tree, length, page, keyEnd);
    else if ((flags & NODE_SUB) !== 0 && length === TREE_RECORD_BYTES) {
      // lmdb-js keeps names with a closing NUL.
      const nameEnd = page[keyEnd - 1] === 0 ? keyEnd - 1 : keyEnd;
      const name = page.toString('utf8', at + NODE_BYTES, nameEnd);
      this.subTrees.set(name, Buffer.from(page.subarray(keyEnd, keyEnd + length)));
    }
    return at;
  }

  #overflow(tree: Tree, length: number, page: Buffer, at: number): void {
    const first = u64(page, at);
    const pages = u64(page, at + 16);
    if (pages * PAGE_BYTES < HEADER_BYTES + length) {
      throw damaged(tree, first, `begins ${pages} pages that hold ${length} bytes`);
    }
    this.#assertThere(tree, first, pages);
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    readSync(this.#file.fd, header, 0, HEADER_BYTES, first * PAGE_BYTES);
    const isRun =
      u64(header, 0) === first &&
      (header.readUInt16LE(FLAGS_AT) & KIND_MASK) === OVERFLOW &&
      header.readUInt32LE(RUN_PAGES_AT) === pages;
    if (!isRun) throw damaged(tree, first, `does not begin ${pages} pages of one value`);
    tree.seen.overflows += pages;
  }

  #read(tree: Tree, number: number, level: number): Buffer {
    this.#assertThere(tree, number, 1);
    const page = (this.#levels[level] ??= Buffer.allocUnsafe(PAGE_BYTES));
    readSync(this.#file.fd, page, 0, PAGE_BYTES, number * PAGE_BYTES);
    if (u64(page, 0) !== number) throw damaged(tree, number, `says it is page ${u64(page, 0)}`);
    return page;
  }

  #assertThere(tree: Tree, first: number, pages: number): void {
    const { sizeBytes, pages: known } = this.#file;
    const end = first + pages;
    if (end > known)
      throw damaged(tree, first, `ends at page ${end}, the last one is ${known - 1}`);
    if (end * PAGE_BYTES <= sizeBytes) return;
    throw damaged(tree, first, `ends at byte ${end * PAGE_BYTES}, the file at ${sizeBytes}`);
  }
}

function damaged(tree: Tree, number: number, what: string): Error {
  return corrupt(`page ${number}, of the tree of ${tree.name}, ${what}`);
}

function childOf(page: Buffer, at: number): number {
  const low = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000;
  return low + page.readUInt16LE(at + 4) * 0x1_0000_0000;
}

/** Exact below 2^53; beyond it no page number or count is right anyway. */
function u64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
}
