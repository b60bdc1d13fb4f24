/** The user's keys out of a running agent and back into it, as JSON lines. */
import { createReadStream } from 'node:fs';
import type { Command } from 'commander';
import { HoldfastError, messageOf } from '../../base/errors.ts';
import { linesOf } from '../../base/lines.ts';
import type { DumpLine } from '../../engine/index.ts';
import type { KvBody, KvListReply, KvWriteReply } from '../faces/agent-api/schema.ts';
import { verb, withQuery, type Context } from './context.ts';
import { dumpOffline } from './kv-offline.ts';
import { printFields, printJson, say } from './output.ts';

const KV = '/agent/v1/kv';
/** Keys per call: pages bound the memory of both sides. */
const LIST_PAGE = 1_000;
/** Conflicts named; the others are counted. */
const CONFLICTS_TOLD = 20;

const DUMP_HELP = `
One JSON object a line: key, value (base64), createRevision, modRevision, version. \`kv restore\` reads it.
With --offline the store's files are read, beside a dead or a running agent; all lines are of one revision then.`;

const RESTORE_HELP = `
Writes each line of a dump to the running agent. A key that is there with another value is a conflict: it
stays as it is, the exit code is 6. Revisions are the agent's own. \`-\` reads standard input.`;

interface RestoreOptions {
  readonly dryRun?: boolean;
  readonly overwrite?: boolean;
}

interface Counts {
  written: number;
  unchanged: number;
  conflicts: number;
}

export function addTransferVerbs(group: Command): void {
  group
    .command('dump [prefix]')
    .alias('export')
    .description('print all keys under a prefix as JSON lines')
    .option('--offline', "read the store's files instead of asking the agent")
    .option('--store <folder>', "with --offline: the store's folder; default the agent's own")
    .addHelpText('after', DUMP_HELP)
    .action(
      verb(
        async (
          context,
          prefix: string | undefined,
          options: { offline?: boolean; store?: string },
        ) => {
          if (options.offline) return dumpOffline(context, prefix ?? '', options.store);
          if (options.store !== undefined) {
            throw new HoldfastError('InvalidArgument', '--store was given without --offline');
          }
          await dump(context, prefix ?? '');
        },
      ),
    );
  group
    .command('restore <file>')
    .alias('import')
    .description('write the keys of a dump into the running agent')
    .option('--dry-run', 'only say what would be written')
    .option('--overwrite', 'replace values that differ')
    .addHelpText('after', RESTORE_HELP)
    .action(verb(restore));
}

async function dump({ client }: Context, prefix: string): Promise<void> {
  let after: string | undefined;
  for (;;) {
    const query = { prefix, after, limit: LIST_PAGE };
    const page = await client.json<KvListReply>(withQuery(`${KV}/list`, query));
    for (const { key, value = '', createRevision, modRevision, version } of page.kvs) {
      await printLine({ key, value, createRevision, modRevision, version });
    }
    after = page.kvs.at(-1)?.key;
    if (!page.more || after === undefined) return;
  }
}

function printLine(line: DumpLine): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${JSON.stringify(line)}\n`, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

async function restore(context: Context, file: string, options: RestoreOptions): Promise<void> {
  const source = file === '-' ? process.stdin.setEncoding('utf8') : createReadStream(file, 'utf8');
  const counts: Counts = { written: 0, unchanged: 0, conflicts: 0 };
  let number = 0;
  try {
    for await (const text of linesOf(source as AsyncIterable<string>)) {
      number += 1;
      if (text !== '') await restoreLine(context, lineOf(text, number), options, counts);
    }
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown;
    throw new HoldfastError('InvalidArgument', messageOf(thrown), { cause: thrown });
  } finally {
    report(context, counts, options.dryRun ?? false);
  }
  if (counts.conflicts === 0) return;
  throw new HoldfastError('Conflict', `${counts.conflicts} keys have another value and were left`, {
    hint: '--overwrite replaces them',
  });
}

async function restoreLine(
  context: Context,
  line: Pick<DumpLine, 'key' | 'value'>,
  { dryRun, overwrite }: RestoreOptions,
  counts: Counts,
): Promise<void> {
  const found = await read(context, line.key);
  if (found?.value === line.value) {
    counts.unchanged += 1;
  } else if (found && !overwrite) {
    counts.conflicts += 1;
    if (counts.conflicts <= CONFLICTS_TOLD) say(`conflict: ${JSON.stringify(line.key)}`);
  } else {
    // Only over what was just read: a write of somebody else in between is KeyModified, not lost.
    if (!dryRun) await write(context, line, found?.modRevision ?? 0);
    counts.written += 1;
  }
}

async function read({ client }: Context, key: string): Promise<KvBody | undefined> {
  try {
    return await client.json<KvBody>(withQuery(KV, { key }));
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.code === 'KeyNotFound') return undefined;
    throw thrown;
  }
}

async function write(
  { client }: Context,
  { key, value }: Pick<DumpLine, 'key' | 'value'>,
  ifRevision: number,
): Promise<void> {
  await client.json<KvWriteReply>(withQuery(KV, { key, ifRevision }), {
    method: 'PUT',
    body: Buffer.from(value, 'base64'),
    headers: { 'content-type': 'application/octet-stream' },
  });
}

function lineOf(text: string, number: number): Pick<DumpLine, 'key' | 'value'> {
  try {
    const line = JSON.parse(text) as Partial<DumpLine> & { holdfast?: string };
    const { key, value } = line;
    if (typeof key === 'string' && typeof value === 'string') {
      // What isn't base64 would be dropped without a word.
      if (Buffer.from(value, 'base64').toString('base64') === value) return { key, value };
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
  ]);
}
