/** The store as a whole: how much there is, and the low end of its history. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/bytes.ts';
import type { CompactReply, KvStatsReply } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { printFields, printJson } from './output.ts';

const KV = '/agent/v1/kv';

type Hold = KvStatsReply['holds'][number];

const COMPACT_HELP = `
Values stay; what goes is how they were before. A watch, a read or a replica that needs it gets Compacted.
The agent does this by itself, too: by size and by age. What a sync target has not read yet stays; --over-holds
drops it all the same, and the target then compares all keys.
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
    .option('--over-holds', 'also what a sync target has not read yet')
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
    [
      'history',
      `from revision ${found.compactedRevision + 1}, ${found.logEntries} entries, ${formatBytes(found.logBytes)}`,
    ],
    ['oldest', found.oldestAgeMs === undefined ? undefined : ageOf(found.oldestAgeMs)],
    ['held', found.holds.map(holdText).join(', ') || 'by nobody'],
    ['held back by', found.heldBy && holdText(found.heldBy)],
    ['keys', found.keys],
    ['size', formatBytes(found.sizeBytes)],
    [
      'reserve',
      found.refusesPuts ? 'given back: the disk is full' : formatBytes(found.reserveBytes),
    ],
    ['problem', found.problem],
  ]);
}

function holdText({ name, revision }: Hold): string {
  return `${name} after ${revision}`;
}

/** In time that the agent ran. */
function ageOf(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

async function compact(
  { client, format }: Context,
  revision: number,
  {
    dryRun = false,
    overHolds = false,
  }: { readonly dryRun?: boolean; readonly overHolds?: boolean },
): Promise<void> {
  const before = await client.json<KvStatsReply>(`${KV}/stats`);
  const after = dryRun
    ? expected(before, revision, overHolds)
    : await client.send<CompactReply>(`${KV}/compact`, 'POST', { revision, overHolds });
  const dropped = after.compactedRevision - before.compactedRevision;
  if (format === 'json') return printJson({ ...after, dropped, dryRun });
  printFields([
    [dryRun ? 'would be dropped' : 'dropped', `${dropped} revisions`],
    ['history', `from revision ${after.compactedRevision + 1} to ${after.revision}`],
    ['held back by', after.heldBy && holdText(after.heldBy)],
  ]);
}

function expected(before: KvStatsReply, asked: number, overHolds: boolean): CompactReply {
  const { revision, compactedRevision, holds } = before;
  const [slowest] = holds;
  const heldBy = !overHolds && slowest && slowest.revision < asked ? slowest : undefined;
  const until = Math.max(compactedRevision, heldBy?.revision ?? asked);
  return { revision, compactedRevision: until, ...(heldBy && { heldBy }) };
}
