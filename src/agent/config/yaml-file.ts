import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { MiB } from '../../base/bytes.ts';
import { hasErrno, HoldfastError, messageOf } from '../../base/errors.ts';

/** A configuration is written by hand; a larger file is something else. */
const FILE_BYTES_MAX = 1 * MiB;
/** Values in one file, aliases expanded: an alias bomb ends here. */
const NODES_MAX = 10_000;
/** The schema is 4 levels deep; a list that holds itself ends here. */
const DEPTH_MAX = 16;

/** Where something stands; both counted from 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A YAML value that knows where it came from: the merge and every error message need it. */
export type Located = LocatedScalar | LocatedList | LocatedMap;

export interface LocatedScalar {
  readonly kind: 'scalar';
  readonly origin: Origin;
  readonly value: string | number | boolean | null;
}

export interface LocatedList {
  readonly kind: 'list';
  readonly origin: Origin;
  readonly items: readonly Located[];
}

export interface LocatedMap {
  readonly kind: 'map';
  readonly origin: Origin;
  readonly entries: ReadonlyMap<string, { readonly keyOrigin: Origin; readonly value: Located }>;
}

export function formatOrigin({ file, line, column }: Origin): string {
  return `${file}:${line}:${column}`;
}

/**
 * One YAML file as a located map; an empty file is an empty map.
 * @returns undefined when there is no such file
 * @throws ConfigInvalid with file:line:column
 */
export async function readYamlFile(file: string): Promise<LocatedMap | undefined> {
  const text = await readText(file);
  return text === undefined ? undefined : parseYaml(file, text);
}

export function parseYaml(file: string, text: string): LocatedMap {
  const lines = new LineCounter();
  const at = (offset: number): Origin => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document = parse(file, text, lines);
  // A warning is a tag or directive that yaml would otherwise quietly take for something else.
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw invalid(at(problem.pos[0]), problem.message.replaceAll('\n', ' '));
  if (document.contents === null) return emptyMap(file);
  const located = new Locator(document, at).locate(document.contents, 0);
  if (located.kind === 'map') return located;
  if (located.kind === 'scalar' && located.value === null) return emptyMap(file);
  throw invalid(located.origin, 'the file must hold `key: value` lines at its top level');
}

export function emptyMap(file: string): LocatedMap {
  return { kind: 'map', origin: { file, line: 1, column: 1 }, entries: new Map() };
}

export function invalid(origin: Origin, message: string): HoldfastError {
  return new HoldfastError('ConfigInvalid', `${formatOrigin(origin)}: ${message}`, {
    hint: 'correct the file; `holdfast config check` tries it without starting anything',
  });
}

function parse(file: string, text: string, lineCounter: LineCounter): Document {
  try {
    // prettyErrors would quote the source, and a password in the wrong place with it.
    return parseDocument(text, { lineCounter, prettyErrors: false, schema: 'core', merge: false });
  } catch (thrown) {
    throw new HoldfastError(
      'ConfigInvalid',
      `${file}: not readable as YAML: ${messageOf(thrown)}`,
      {
        cause: thrown,
      },
    );
  }
}

class Locator {
  readonly #document: Document;
  readonly #at: (offset: number) => Origin;
  #nodes = 0;

  constructor(document: Document, at: (offset: number) => Origin) {
    this.#document = document;
    this.#at = at;
  }

  locate(node: unknown, depth: number): Located {
    const origin = this.#originOf(node);
    this.#nodes += 1;
    if (this.#nodes > NODES_MAX) throw invalid(origin, `more than ${NODES_MAX} values`);
    if (depth > DEPTH_MAX) throw invalid(origin, `nested more than ${DEPTH_MAX} levels deep`);
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined) throw invalid(origin, `no anchor named \`${node.source}\``);
      return this.locate(target, depth + 1);
    }
    if (isMap(node)) {
      const entries = new Map<string, { keyOrigin: Origin; value: Located }>();
      for (const { key, value } of node.items) {
        const keyOrigin = this.#originOf(key);
        if (!isScalar(key) || typeof key.value !== 'string') {
          throw invalid(keyOrigin, 'a key must be plain text');
        }
        const located = value === null ? nothing(keyOrigin) : this.locate(value, depth + 1);
        entries.set(key.value, { keyOrigin, value: located });
      }
      return { kind: 'map', origin, entries };
    }
    if (isSeq(node)) {
      return {
        kind: 'list',
        origin,
        items: node.items.map((item) => this.locate(item, depth + 1)),
      };
    }
    if (isScalar(node)) return { kind: 'scalar', origin, value: plain(node.value, origin) };
    throw invalid(origin, 'not a value');
  }

  #originOf(node: unknown): Origin {
    const range = isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range : null;
    return this.#at(range?.[0] ?? 0);
  }
}

function nothing(origin: Origin): LocatedScalar {
  return { kind: 'scalar', origin, value: null };
}

function plain(value: unknown, origin: Origin): LocatedScalar['value'] {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return value;
  throw invalid(origin, 'a value must be text, a number, true or false');
}

async function readText(file: string): Promise<string | undefined> {
  try {
    // O_NONBLOCK: opening a fifo that somebody put there must not wait for a writer.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new HoldfastError('ConfigInvalid', `${file}: not a regular file`);
      if (stats.size > FILE_BYTES_MAX) throw tooLarge(file, stats.size);
      const bytes = Buffer.alloc(stats.size);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, bytesRead));
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOENT')) return undefined;
    if (thrown instanceof HoldfastError) throw thrown;
    const badText = hasErrno(thrown, 'ERR_ENCODING_INVALID_ENCODED_DATA');
    const reason = badText ? 'not UTF-8 text' : messageOf(thrown);
    throw new HoldfastError('ConfigInvalid', `${file}: cannot be read: ${reason}`, {
      cause: thrown,
    });
  }
}

function tooLarge(file: string, sizeBytes: number): HoldfastError {
  return new HoldfastError(
    'ConfigInvalid',
    `${file}: ${sizeBytes} bytes, a configuration file has at most ${FILE_BYTES_MAX}`,
  );
}
