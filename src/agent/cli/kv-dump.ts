/** `kv dump`: the user's keys as JSON lines; kv-restore.ts is the way back. */
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import type { DumpLine } from '../../engine/index.ts';
import type { KvListReply } from '../faces/agent-api/schema.ts';
import { verb, withQuery, type Context } from './context.ts';
import { dumpOffline } from './kv-offline.ts';

const KV = '/agent/v1/kv';
/** Keys per call: pages bound the memory of both sides. */
const LIST_PAGE = 1_000;

const DUMP_HELP = `
One JSON object a line: key, value (base64), createRevision, modRevision, version, and lease for a key under one.
\`kv restore\` reads it. All lines are of one revision. With --offline the store's files are read, beside a dead or
a running agent.
  holdfast kv dump app > app.jsonl`;

export function addDumpVerb(group: Command): void {
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
}

/** All of it as of one revision, that of the first page. */
async function dump({ client }: Context, prefix: string): Promise<void> {
  let after: string | undefined;
  let revision: number | undefined;
  for (;;) {
    const query = { prefix, after, revision, limit: LIST_PAGE };
    const page = await client.json<KvListReply>(withQuery(`${KV}/list`, query));
    ({ revision } = page);
    for (const kv of page.kvs) {
      const { key, value = '', createRevision, modRevision, version, lease } = kv;
      const line = { key, value, createRevision, modRevision, version };
      await printLine(lease === undefined ? line : { ...line, lease });
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
