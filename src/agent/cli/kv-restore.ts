/** `kv restore`: a dump back into a running agent, some lines at a time, each decided and written at once. */
import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { MiB } from '../../base/bytes.ts';
import { HoldfastError, messageOf } from '../../base/errors.ts';
import { linesOf } from '../../base/lines.ts';
import type { DumpLine } from '../../engine/index.ts';
import type { KvBody, TxnOpBody, TxnReply, TxnRequest } from '../faces/agent-api/schema.ts';
import { verb, type Context } from './context.ts';
import { printFields, printJson, say } from './output.ts';

const TXN = '/agent/v1/kv/txn';
/** Lines decided together: one sync for all of them. */
const BATCH_LINES = 128;
/** And their characters (at least one line): half of what the agent takes as a transaction. */
const BATCH_CHARS = 2 * MiB;
/** Somebody else writes the very keys at the same time: after so many tries the last word is an error. */
const TRIES_MAX = 5;
/** Conflicts named; the others are counted. */
const CONFLICTS_TOLD = 20;
/** Between two lines of progress. */
const PROGRESS_LINES = 10_000;

const RESTORE_HELP = `
Writes each line of a dump to the running agent. A key that is there with another value is a conflict: it
stays as it is, the exit code is 6. A key that was under a lease is left out: its holder is gone. Revisions are
the agent's own. A second run changes nothing. \`-\` reads standard input.
  holdfast kv restore --dry-run app.jsonl`;

interface RestoreOptions {
  readonly dryRun?: boolean;
  readonly overwrite?: boolean;
  readonly progress?: boolean;
}

type Line = Pick<DumpLine, 'key' | 'value' | 'lease'>;

interface Counts {
  written: number;
  unchanged: number;
  conflicts: number;
  leased: number;
}

export function addRestoreVerb(group: Command): void {
  group
    .command('restore <file>')
    .alias('import')
    .description('write the keys of a dump into the running agent')
    .option('--dry-run', 'only say what would be written')
    .option('--overwrite', 'replace values that differ')
    .option(
      '--progress',
      `say every ${PROGRESS_LINES} lines how far it is (a terminal shows it anyway)`,
    )
    .addHelpText('after', RESTORE_HELP)
    .action(verb(restore));
}

async function restore(context: Context, file: string, options: RestoreOptions): Promise<void> {
  const source = file === '-' ? process.stdin.setEncoding('utf8') : createReadStream(file, 'utf8');
  const run = new Restoring(context, options);
  try {
    await run.takeAll(linesOf(source as AsyncIterable<string>));
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown;
    throw new HoldfastError('InvalidArgument', messageOf(thrown), { cause: thrown });
  } finally {
    report(context, run.counts, options.dryRun ?? false);
  }
  const { conflicts } = run.counts;
  if (conflicts === 0) return;
  throw new HoldfastError('Conflict', `${conflicts} keys have another value and were left`, {
    hint: '--overwrite replaces them',
  });
}

class Restoring {
  readonly counts: Counts = { written: 0, unchanged: 0, conflicts: 0, leased: 0 };
  readonly #context: Context;
  readonly #options: RestoreOptions;
  #batch: Line[] = [];
  #chars = 0;

  constructor(context: Context, options: RestoreOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** @throws InvalidArgument naming the line that is none; those before it are written */
  async takeAll(lines: AsyncIterable<string>): Promise<void> {
    let number = 0;
    try {
      for await (const text of lines) {
        number += 1;
        if (text !== '') await this.#take(lineOf(text, number));
        this.#tellProgress(number);
      }
    } finally {
      await this.#flush();
    }
  }

  async #take(line: Line): Promise<void> {
    if (line.lease !== undefined) {
      this.counts.leased += 1;
      return;
    }
    const chars = line.key.length + line.value.length;
    // A key twice in one dump: the second one is decided after the first was written.
    const twice = this.#batch.some(({ key }) => key === line.key);
    if (this.#batch.length >= BATCH_LINES || this.#chars + chars > BATCH_CHARS || twice) {
      await this.#flush();
    }
    this.#batch.push(line);
    this.#chars += chars;
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#chars = 0;
    await this.#write(batch);
  }

  async #write(lines: readonly Line[]): Promise<void> {
    if (lines.length === 0) return;
    for (let tries = 1; ; tries += 1) {
      const there = await this.#read(lines);
      const differs = lines.filter(({ key, value }) => there.get(key)?.value !== value);
      const conflicts = this.#options.overwrite ? [] : differs.filter(({ key }) => there.has(key));
      const writes = differs.filter((line) => !conflicts.includes(line));
      const done = this.#options.dryRun || (await this.#put(writes, there));
      if (!done && tries < TRIES_MAX) continue;
      if (!done) throw new HoldfastError('KeyModified', `somebody else writes the same keys`);
      this.counts.unchanged += lines.length - differs.length;
      this.counts.written += writes.length;
      for (const { key } of conflicts) this.#tellConflict(key);
      return;
    }
  }

  /** What is there now of those keys. */
  async #read(lines: readonly Line[]): Promise<Map<string, KvBody>> {
    const then = lines.map(({ key }): TxnOpBody => ({ type: 'get', key }));
    const { results } = await this.#send({ then });
    return new Map(results.flatMap(({ kvs = [] }, i) => kvs.map((kv) => [lines[i]!.key, kv])));
  }

  /** Only over what was just read. @returns false when that has changed: then nothing was written */
  async #put(lines: readonly Line[], there: ReadonlyMap<string, KvBody>): Promise<boolean> {
    if (lines.length === 0) return true;
    const compares = lines.map(({ key }) => {
      const number = there.get(key)?.modRevision ?? 0;
      return { key, target: 'modRevision', operator: '=', number } as const;
    });
    const then = lines.map(({ key, value }): TxnOpBody => ({ type: 'put', key, value }));
    return (await this.#send({ compares, then })).succeeded;
  }

  #send(request: TxnRequest): Promise<TxnReply> {
    return this.#context.client.send<TxnReply>(TXN, 'POST', request);
  }

  #tellConflict(key: string): void {
    this.counts.conflicts += 1;
    if (this.counts.conflicts <= CONFLICTS_TOLD) say(`conflict: ${JSON.stringify(key)}`);
  }

  #tellProgress(number: number): void {
    if (number % PROGRESS_LINES !== 0) return;
    if (this.#options.progress) say(`${number} lines`);
    else if (process.stderr.isTTY) process.stderr.write(`\r${number} lines\r`);
  }
}

function lineOf(text: string, number: number): Line {
  try {
    const line = JSON.parse(text) as Partial<DumpLine> & { holdfast?: string };
    const { key, value, lease } = line;
    if (typeof key === 'string' && typeof value === 'string') {
      // What isn't base64 would be dropped without a word.
      if (Buffer.from(value, 'base64').toString('base64') === value) {
        return { key: key.replace(/^\//, ''), value, lease };
      }
    }
    if (line.holdfast === 'backup') throw new Error('this is a backup, see `kv restore-store`');
  } catch (thrown) {
    throw new HoldfastError('InvalidArgument', `line ${number}: ${messageOf(thrown)}`);
  }
  throw new HoldfastError('InvalidArgument', `line ${number}: no key with a value in base64`, {
    hint: 'the lines before it were written; a second run leaves those as they are',
  });
}

function report({ format }: Context, counts: Counts, dryRun: boolean): void {
  if (format === 'json') return printJson({ ...counts, dryRun });
  printFields([
    [dryRun ? 'would be written' : 'written', counts.written],
    ['unchanged', counts.unchanged],
    ['conflicts', counts.conflicts],
    ['under a lease, left out', counts.leased],
  ]);
}
