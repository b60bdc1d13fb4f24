import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { HoldfastError, isErrorCode, messageOf } from '../../base/errors.ts';
import type {
  ErrorBody,
  KvBody,
  KvListReply,
  KvWatchLine,
  KvWriteReply,
} from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, withQuery, type Context } from './context.ts';
import { addOfflineVerbs } from './kv-offline.ts';
import { addTransferVerbs } from './kv-transfer.ts';
import { printable, printJson, printTable, say } from './output.ts';

const KV = '/agent/v1/kv';

/** Keys per call of `ls`: pages bound the memory of both sides. */
const LIST_PAGE = 1_000;

export function addKvVerbs(root: Command): void {
  const group = root
    .command('kv')
    .description('the key-value engine, for any program on this host');
  addReads(group);
  addWrites(group);
  group
    .command('watch [prefix]')
    .description('print changes under a prefix as they happen, one a line')
    .option('--from <revision>', 'start with this revision', wholeNumber(1))
    .action(verb(watch));
  addTransferVerbs(group);
  addOfflineVerbs(group);
}

function addReads(group: Command): void {
  group
    .command('get <key>')
    .description("print a key's value as it is")
    .action(
      verb(async ({ client, format }, key: string) => {
        const path = withQuery(KV, { key });
        if (format === 'json') return printJson(await client.json<KvBody>(path));
        const headers = { accept: 'application/octet-stream' };
        process.stdout.write(await client.bytes(path, { headers }));
      }),
    );
  group
    .command('ls [prefix]')
    .description('list keys under a path prefix, in key order')
    .option('--limit <n>', 'at most this many', wholeNumber(1))
    .action(
      verb(async (context, prefix: string | undefined, options: { limit?: number }) => {
        const kvs = await listAll(context, prefix ?? '', options.limit ?? Infinity);
        if (context.format === 'json') return printJson(kvs);
        printTable(
          ['KEY', 'REVISION', 'VALUE'],
          kvs.map((kv) => [printable(kv.key), String(kv.modRevision), preview(kv)]),
        );
      }),
    );
}

function addWrites(group: Command): void {
  group
    .command('put <key> [value]')
    .description('write a key; the value from the argument, --file, or standard input')
    .option('--file <file>', 'read the value from a file, `-` for standard input')
    .action(
      verb(async (context, key: string, value: string | undefined, options: { file?: string }) => {
        await put(context, key, await valueOf(value, options.file), undefined);
      }),
    );
  group
    .command('cas')
    .description('write only if the key is at this revision; 0 = it must not exist')
    .argument('<key>')
    .argument('<revision>', '', wholeNumber(0))
    .argument('[value]')
    .option('--file <file>', 'read the value from a file, `-` for standard input')
    .action(
      verb(
        async (
          context,
          key: string,
          revision: number,
          value: string | undefined,
          options: { file?: string },
        ) => {
          await put(context, key, await valueOf(value, options.file), revision);
        },
      ),
    );
  group
    .command('del <key>')
    .description('delete a key')
    .option('--if-revision <revision>', 'only if it is at this revision', wholeNumber(1))
    .action(
      verb(async ({ client, format }, key: string, options: { ifRevision?: number }) => {
        const path = withQuery(KV, { key, ifRevision: options.ifRevision });
        const answer = await client.send<KvWriteReply>(path, 'DELETE');
        if (format === 'json') printJson(answer);
      }),
    );
}

async function put(
  { client, format }: Context,
  key: string,
  body: Uint8Array,
  ifRevision: number | undefined,
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' };
  const answer = await client.json<KvWriteReply>(withQuery(KV, { key, ifRevision }), {
    method: 'PUT',
    body,
    headers,
  });
  if (format === 'json') return printJson(answer);
  process.stdout.write(`${answer.revision}\n`);
}

async function listAll({ client }: Context, prefix: string, limit: number): Promise<KvBody[]> {
  const kvs: KvBody[] = [];
  let after: string | undefined;
  while (kvs.length < limit) {
    const page = await client.json<KvListReply>(
      withQuery(`${KV}/list`, { prefix, after, limit: Math.min(LIST_PAGE, limit - kvs.length) }),
    );
    kvs.push(...page.kvs);
    after = page.kvs.at(-1)?.key;
    if (!page.more) break;
  }
  return kvs;
}

async function watch(
  { client, format }: Context,
  prefix: string | undefined,
  options: { from?: number },
): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const path = withQuery(`${KV}/watch`, { prefix: prefix ?? '', from: options.from });
  for await (const line of client.lines(path, stop.signal)) {
    const parsed = JSON.parse(line) as KvWatchLine | ErrorBody;
    if ('code' in parsed) throw ended(parsed);
    if (parsed.changes.length === 0) continue;
    if (format === 'json') {
      process.stdout.write(`${line}\n`);
      continue;
    }
    for (const change of parsed.changes) {
      const value = change.type === 'put' ? ` ${preview(change)}` : '';
      process.stdout.write(`${parsed.revision} ${change.type} ${printable(change.key)}${value}\n`);
    }
  }
  if (!stop.signal.aborted) say('the agent ended the watch');
}

function ended(body: ErrorBody): HoldfastError {
  const code = isErrorCode(body.code) ? body.code : 'Internal';
  return new HoldfastError(code, body.message, { hint: body.hint });
}

async function valueOf(value: string | undefined, file: string | undefined): Promise<Uint8Array> {
  if (value !== undefined && file !== undefined) {
    throw new HoldfastError('InvalidArgument', 'a value and --file were both given', {
      hint: 'give one',
    });
  }
  if (value !== undefined) return Buffer.from(value);
  if (file !== undefined && file !== '-') {
    return readFile(file).catch((cause: unknown) => {
      throw new HoldfastError('InvalidArgument', `--file: ${messageOf(cause)}`, { cause });
    });
  }
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const PREVIEW_CHARS = 60;

function preview(kv: { readonly text?: string; readonly value?: string }): string {
  if (kv.text === undefined) return `(${Buffer.from(kv.value ?? '', 'base64').length} bytes)`;
  const text = printable(kv.text);
  return text.length <= PREVIEW_CHARS ? text : `${text.slice(0, PREVIEW_CHARS)}…`;
}
