/** The store as a whole: how much there is, and the low end of its history. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/bytes.ts';
import type { CompactReply, KvStatsReply } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { printFields, printJson } from './output.ts';

const KV = '/agent/v1/kv';

const COMPACT_HELP = `
Values stay; what goes is how they were before. A watch, a read or a replica that needs it gets Compacted.
The agent does this by itself, too: by size and by age.
  holdfast kv compact 1000 --dry-run`;

export function addUpkeepVerbs(group: Command): void {
  group
    .command('stats')
    .description('revisions, keys and sizes of the whole store')
    .action(verb(stats));
  group
    .command('compact')
    .description('drop the history up to a revision')
    .argument('<revision>', '', wholeNumber(0))
    .option('--dry-run', 'only say what would be dropped')
    .addHelpText('after', COMPACT_HELP)
    .action(verb(compact));
}

async function stats({ client, format }: Context): Promise<void> {
  const found = await client.json<KvStatsReply>(`${KV}/stats`);
  if (format === 'json') return printJson(found);
  printFields([
    ['store', `${found.path} (${found.backend})`],
    ['incarnation', found.incarnation],
    ['revision', found.revision],
    ['history', `from revision ${found.compactedRevision + 1}, ${found.logEntries} entries`],
    ['keys', found.keys],
    ['size', formatBytes(found.sizeBytes)],
  ]);
}

async function compact(
  { client, format }: Context,
  revision: number,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<void> {
  const before = await client.json<KvStatsReply>(`${KV}/stats`);
  const after = dryRun
    ? { revision: before.revision, compactedRevision: Math.max(before.compactedRevision, revision) }
    : await client.send<CompactReply>(`${KV}/compact`, 'POST', { revision });
  const dropped = after.compactedRevision - before.compactedRevision;
  if (format === 'json') return printJson({ ...after, dropped, dryRun });
  printFields([
    [dryRun ? 'would be dropped' : 'dropped', `${dropped} revisions`],
    ['history', `from revision ${after.compactedRevision + 1} to ${after.revision}`],
  ]);
}
