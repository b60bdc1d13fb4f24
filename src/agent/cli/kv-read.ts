/** `kv get` and `kv ls`: what is there, now or as of an older revision. */
import type { Command } from 'commander';
import type { KvBody, KvListReply } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, withQuery, type Context } from './context.ts';
import { preview, printable, printJson, printTable } from './output.ts';

const KV = '/agent/v1/kv';
/** Keys per call: pages bound the memory of both sides. */
const LIST_PAGE = 1_000;
const REVISION_HELP = 'as it was at this revision';

const GET_HELP = `
The bytes as they are, no newline added; -o json has them in base64, and as text when they are.
  holdfast kv get app/color --revision 12`;

const LIST_HELP = `
All pages are as of one revision. -o json prints an array.
  holdfast kv ls app --keys-only --limit 10
  holdfast kv ls app --no-recursive    # folders end with a /`;

interface ListOptions {
  readonly after?: string;
  readonly keysOnly?: boolean;
  readonly limit?: number;
  readonly recursive: boolean;
  readonly revision?: number;
}

type Listed = KvListReply['kvs'][number];

export function addReadVerbs(group: Command): void {
  group
    .command('get <key>')
    .description("print a key's value as it is")
    .addHelpText('after', GET_HELP)
    .option('--revision <revision>', REVISION_HELP, wholeNumber(1))
    .action(
      verb(async ({ client, format }, key: string, { revision }: { revision?: number }) => {
        const path = withQuery(KV, { key, revision });
        if (format === 'json') return printJson(await client.json<KvBody>(path));
        const headers = { accept: 'application/octet-stream' };
        process.stdout.write(await client.bytes(path, { headers }));
      }),
    );
  group
    .command('ls [prefix]')
    .alias('list')
    .description('list keys under a path prefix, in key order')
    .option('--limit <n>', 'at most this many', wholeNumber(1))
    .option('--after <key>', 'begin after this key')
    .option('--revision <revision>', REVISION_HELP, wholeNumber(1))
    .option('--keys-only', 'without the values')
    .option('-r, --recursive', 'everything below (the default)', true)
    .option('--no-recursive', 'only what is directly below: keys, and folders of keys')
    .addHelpText('after', LIST_HELP)
    .action(verb(list));
}

async function list(
  context: Context,
  prefix: string | undefined,
  options: ListOptions,
): Promise<void> {
  const all = listPages(context, prefix ?? '', options);
  const kvs = await collect(options.recursive ? all : directlyBelow(prefix ?? '', all), options);
  if (context.format === 'json') return printJson(kvs);
  if (options.keysOnly) {
    process.stdout.write(kvs.map(({ key }) => `${printable(key)}\n`).join(''));
    return;
  }
  printTable(
    ['KEY', 'REVISION', 'VALUE'],
    kvs.map((kv) => [
      printable(kv.key),
      String(kv.modRevision ?? ''),
      kv.modRevision === undefined ? '' : preview(kv),
    ]),
  );
}

/** A key, or a folder, of which there is only the name. */
type Row = Pick<Listed, 'key'> & Partial<Listed>;

async function collect(rows: AsyncIterable<Row>, { limit = Infinity }: ListOptions) {
  const got: Row[] = [];
  for await (const row of rows) {
    got.push(row);
    if (got.length >= limit) break;
  }
  return got;
}

async function* listPages(
  { client }: Context,
  prefix: string,
  options: ListOptions,
): AsyncGenerator<Listed> {
  let { after, revision } = options;
  const limit = Math.min(LIST_PAGE, options.limit ?? LIST_PAGE);
  for (;;) {
    const query = { prefix, after, limit, revision, keysOnly: options.keysOnly };
    const page = await client.json<KvListReply>(withQuery(`${KV}/list`, query));
    yield* page.kvs;
    ({ revision } = page);
    after = page.kvs.at(-1)?.key;
    if (!page.more) return;
  }
}

/** Each folder once; keys come in the order of their bytes, so all of one folder are together. */
async function* directlyBelow(prefix: string, kvs: AsyncIterable<Listed>): AsyncGenerator<Row> {
  const path = prefix.replace(/^\//, '').replace(/\/$/, '');
  const skip = path === '' ? 0 : path.length + 1;
  let last: string | undefined;
  for await (const kv of kvs) {
    const slash = kv.key.indexOf('/', skip);
    if (slash === -1) yield kv;
    else {
      const folder = kv.key.slice(0, slash + 1);
      if (folder !== last) yield { key: folder };
      last = folder;
    }
  }
}
