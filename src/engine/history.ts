/**
 * The state at older revisions: that of now, undone by the log since (READ in log.ts). The log is read in
 * steps that yield the loop; what is there now is read together with its last step, so that nothing can
 * come between. A step is larger than what a batch adds: the reader gains on any writer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HoldfastError } from '../base/errors.ts';
import { keyAfter, keyBytes, keyText } from './key.ts';
import { HISTORY_READ_BYTES, HISTORY_READ_REVISIONS } from './limits.ts';
import { isCut, pageOf, type Page, type PageLimits } from './list-page.ts';
import { knowsBefore, type LoggedChange } from './log.ts';
import { readLogUnder } from './log-reader.ts';
import { decodeKeyValue, previousOf } from './record.ts';
import { readStoredHead } from './recover.ts';
import { isWithin, rangeOf, type KeyRange } from './span.ts';
import type { Backend } from './backend.ts';
import type { KeyValue } from './engine.ts';

/** The first change of each key since. */
type Undo = Map<string, LoggedChange>;

/** All entries of the log may be needed: there is no limit but the log's own. */
interface Question<T> {
  readonly revision: number;
  readonly range: KeyRange;
  /** The first key met says it all. */
  readonly isOne: boolean;
  /** Called once all is known, within the read. */
  readonly answer: (undo: Undo) => T;
}

export class History {
  readonly #backend: Backend;
  readonly #assertOpen: () => void;

  /** @param assertOpen throws when the engine is closed */
  constructor(backend: Backend, assertOpen: () => void) {
    this.#backend = backend;
    this.#assertOpen = assertOpen;
  }

  /** @throws InvalidArgument, Compacted */
  get(key: string, revision: number): Promise<KeyValue | undefined> {
    const range = rangeOf({ type: 'key', key });
    const answer = (undo: Undo): KeyValue | undefined => {
      const change = undo.get(key);
      if (change) return before(change, revision);
      const record = this.#backend.get('kv', range.from);
      return record && decodeKeyValue(range.from, record);
    };
    return this.#ask({ revision, range, isOne: true, answer });
  }

  /** @throws InvalidArgument, Compacted */
  list(range: KeyRange, revision: number, limits: PageLimits): Promise<Page> {
    const answer = (undo: Undo): Page => this.#page(range, revision, limits, undo);
    return this.#ask({ revision, range, isOne: false, answer });
  }

  #page(range: KeyRange, revision: number, limits: PageLimits, undo: Undo): Page {
    const { limit, bytesMax } = limits;
    for (let { from } = range; ;) {
      const { before: end } = range;
      // Of these no more than are undone fall away.
      const most = limit === Infinity ? Number.MAX_SAFE_INTEGER : limit + 1 + undo.size;
      const query = { table: 'kv', from, before: end, limit: most, bytesMax } as const;
      const entries = this.#backend.range(query);
      const cut = isCut(entries, bytesMax);
      const read = { from, before: cut ? keyAfter(keyText(entries.at(-1)!.key)) : end };
      const kvs = entries.map(({ key, value }) => decodeKeyValue(key, value));
      const page = pageOf(undone(kvs, undoWithin(undo, read), revision, limit + 1), limits);
      // All that was read may be younger than the revision: an answer without keys has to be the last one.
      if (page.kvs.length > 0 || !cut) return { ...page, more: page.more || cut };
      from = read.before!;
    }
  }

  async #ask<T>(question: Question<T>): Promise<T> {
    const undo: Undo = new Map();
    for (let at = question.revision; ;) {
      this.#assertOpen();
      const step = this.#backend.read(() => this.#step(question, at, undo));
      if ('answer' in step) return step.answer;
      at = step.at;
      await nextTurn();
    }
  }

  #step<T>(question: Question<T>, at: number, undo: Undo): { answer: T } | { at: number } {
    const { revision, range, isOne, answer } = question;
    const head = readStoredHead(this.#backend);
    if (revision > head.revision) throw notYet(revision, head.revision);
    const step = { after: at, limit: HISTORY_READ_REVISIONS, bytesMax: HISTORY_READ_BYTES };
    const sets = readLogUnder(this.#backend, head, step);
    for (const { changes } of sets) {
      for (const logged of changes) {
        const { key } = logged.change.kv;
        if (!undo.has(key) && isWithin(range, keyBytes(key))) undo.set(key, logged);
      }
    }
    const reached = sets.at(-1)?.revision ?? at;
    const isDone = reached === head.revision || (isOne && undo.size > 0);
    return isDone ? { answer: answer(undo) } : { at: reached };
  }
}

function undoWithin(undo: Undo, range: KeyRange): Undo {
  return new Map([...undo].filter(([key]) => isWithin(range, keyBytes(key))));
}

/** Both in key order. */
function undone(kvs: readonly KeyValue[], undo: Undo, revision: number, most: number): KeyValue[] {
  const changes = [...undo.values()]
    .map((logged) => ({ logged, bytes: keyBytes(logged.change.kv.key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const result: KeyValue[] = [];
  const current = kvs.filter(({ key }) => !undo.has(key));
  let next = 0;
  for (const { logged, bytes } of changes) {
    while (next < current.length && Buffer.compare(keyBytes(current[next]!.key), bytes) < 0) {
      result.push(current[next]!);
      next += 1;
    }
    // What lies behind the page need not be known.
    if (result.length >= most) break;
    const kv = before(logged, revision);
    if (kv) result.push(kv);
  }
  result.push(...current.slice(next));
  return result.slice(0, most);
}

/** @throws Compacted */
function before(logged: LoggedChange, revision: number): KeyValue | undefined {
  if (knowsBefore(logged)) return previousOf(logged);
  const { key, modRevision } = logged.change.kv;
  throw new HoldfastError(
    'Compacted',
    `the change log does not hold what ${key} was at revision ${revision}: ` +
      `its change at ${modRevision} was logged without`,
    {
      hint: `an older Holdfast wrote it, or the values before were too large; ask for ${modRevision}`,
    },
  );
}

function notYet(revision: number, last: number): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `revision ${revision} is to come: the last one is ${last}`,
  );
}
