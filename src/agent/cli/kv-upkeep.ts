/** The store as a whole: how much there is, and the low end of its history. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/bytes.ts';
import { HoldfastError } from '../../base/errors.ts';
import type { CompactReply, KvStatsReply } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { printFields, printJson } from './output.ts';

const KV = '/agent/v1/kv';
const HOUR_MS = 3_600_000;

const COMPACT_HELP = `
Values stay; what goes is how they were before. A watch or a read that needs it gets Compacted. What a sync target
still has to read is kept, unless --over-holds says otherwise: then the target has to compare all keys. The agent
drops history by itself, too, by size and by age.
  holdfast kv compact 1000 --dry-run`;

interface CompactOptions {
  readonly dryRun?: boolean;
  readonly overHolds?: boolean;
}

export function addUpkeepVerbs(group: Command): void {
  group
    .command('stats')
    .description('revisions, keys and sizes of the whole store, and who holds its history')
    .addHelpText('after', '\n  holdfast kv stats -o json')
    .action(verb(stats));
  group
    .command('compact')
    .description('drop the history up to a revision')
    .argument('<revision>', '', wholeNumber(0))
    .option('--dry-run', 'only say what would be dropped')
    .option('--over-holds', 'also what a sync target still has to read')
    .addHelpText('after', COMPACT_HELP)
    .action(verb(compact));
}

async function stats({ client, format }: Context): Promise<void> {
  const found = await client.json<KvStatsReply>(`${KV}/stats`);
  if (format === 'json') return printJson(found);
  printFields([
    ['store', `${found.path} (${found.backend})`],
    ['problem', found.problem],
    ['incarnation', found.incarnation],
    ['revision', found.revision],
    ['keys', found.keys],
    ['size', formatBytes(found.sizeBytes)],
    ['history', historyOf(found)],
    ...found.holds.map((hold) => ['held by', holdText(hold)] as const),
    ['reserve', `${formatBytes(found.reserveBytes)} for deletes on a full disk`],
    ['disk full', found.refusesPuts ? 'writes are refused until there is room' : undefined],
    ['problem', found.problem],
  ]);
}

function historyOf(found: KvStatsReply): string {
  const { compactedRevision, logEntries, logBytes, oldestAgeMs } = found;
  const from = `from revision ${compactedRevision + 1}, ${logEntries} entries`;
  const age = oldestAgeMs === undefined ? '' : `, ${Math.floor(oldestAgeMs / HOUR_MS)} h`;
  return `${from}, ${formatBytes(logBytes)}${age}`;
}

function holdText({ name, revision }: KvStatsReply['holds'][number]): string {
  return `${name}, which has read up to revision ${revision}`;
}

async function compact(
  { client, format }: Context,
  revision: number,
  { dryRun = false, overHolds = false }: CompactOptions,
): Promise<void> {
  const before = await client.json<KvStatsReply>(`${KV}/stats`);
  const after = dryRun
    ? foretell(before, revision, overHolds)
    : await client.send<CompactReply>(`${KV}/compact`, 'POST', { revision, overHolds });
  const dropped = after.compactedRevision - before.compactedRevision;
  if (format === 'json') return printJson({ ...after, dropped, dryRun });
  printFields([
    [dryRun ? 'would be dropped' : 'dropped', `${dropped} revisions`],
    ['history', `from revision ${after.compactedRevision + 1} to ${after.revision}`],
    ['held by', after.heldBy && holdText(after.heldBy)],
  ]);
}

/** What the engine would do. */
export function foretell(before: KvStatsReply, asked: number, overHolds: boolean): CompactReply {
  const { revision, compactedRevision, holds } = before;
  if (asked > revision) {
    const message = `cannot compact up to revision ${asked}: the last one is ${revision}`;
    throw new HoldfastError('InvalidArgument', message);
  }
  const heldBy = overHolds ? undefined : holds.find((hold) => hold.revision < asked);
  const reached = Math.max(compactedRevision, heldBy?.revision ?? asked);
  return { revision, compactedRevision: reached, ...(heldBy && { heldBy }) };
}
