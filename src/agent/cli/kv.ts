import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import { RELAXED_MS_MAX } from '../../engine/index.ts';
import type { KvWriteReply } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, withQuery, type Context } from './context.ts';
import { readInput } from './input.ts';
import { addDumpVerb } from './kv-dump.ts';
import { addElectVerb } from './kv-elect.ts';
import { addLeaseVerbs } from './kv-lease.ts';
import { addLockVerb } from './kv-lock.ts';
import { addOfflineVerbs } from './kv-offline.ts';
import { addReadVerbs } from './kv-read.ts';
import { addRestoreVerb } from './kv-restore.ts';
import { addTxnVerb } from './kv-txn.ts';
import { addUpkeepVerbs } from './kv-upkeep.ts';
import { addWatchVerb } from './kv-watch.ts';
import { printJson } from './output.ts';

const KV = '/agent/v1/kv';
const RELAXED_HELP =
  'do not wait for the disk, which has it so many ms later; a power cut may take it';

const PUT_HELP = `
Prints the revision of the write, once it is on the disk; with --relaxed before that.
  holdfast kv put app/color blue
  holdfast kv put app/logo --file logo.png`;

const CAS_HELP = `
Prints the revision of the write. Exit code 6 when the key was written by somebody else meanwhile.
  holdfast kv cas app/color 0 blue    # only if it is not there yet`;

const DEL_HELP = `
  holdfast kv del app/color --if-revision 12`;

interface PutOptions {
  readonly file?: string;
  readonly lease?: number;
  readonly relaxed?: number;
}

export function addKvVerbs(root: Command): void {
  const group = root
    .command('kv')
    .description('the key-value engine, for any program on this host');
  addReadVerbs(group);
  addWriteVerbs(group);
  addTxnVerb(group);
  addWatchVerb(group);
  addLeaseVerbs(group);
  addLockVerb(group);
  addElectVerb(group);
  addDumpVerb(group);
  addRestoreVerb(group);
  addUpkeepVerbs(group);
  addOfflineVerbs(group);
}

function addWriteVerbs(group: Command): void {
  withValue(group.command('put <key> [value]'))
    .description('write a key; the value from the argument, --file, or standard input')
    .addHelpText('after', PUT_HELP)
    .action(
      verb(async (context, key: string, value: string | undefined, options: PutOptions) => {
        const { file, lease, relaxed: relaxedMs } = options;
        await put(context, { key, lease, relaxedMs }, await valueOf(value, file));
      }),
    );
  const cas = group
    .command('cas')
    .description('write only if the key is at this revision; 0 = it must not exist')
    .argument('<key>')
    .argument('<revision>', '', wholeNumber(0))
    .argument('[value]')
    .addHelpText('after', CAS_HELP);
  withValue(cas).action(
    verb(
      async (
        context,
        key: string,
        ifRevision: number,
        value: string | undefined,
        { file, lease, relaxed: relaxedMs }: PutOptions,
      ) => {
        await put(context, { key, ifRevision, lease, relaxedMs }, await valueOf(value, file));
      },
    ),
  );
  group
    .command('del <key>')
    .description('delete a key')
    .addHelpText('after', DEL_HELP)
    .option('--if-revision <revision>', 'only if it is at this revision', wholeNumber(1))
    .action(
      verb(async ({ client, format }, key: string, options: { ifRevision?: number }) => {
        const path = withQuery(KV, { key, ifRevision: options.ifRevision });
        const answer = await client.send<KvWriteReply>(path, 'DELETE');
        if (format === 'json') printJson(answer);
      }),
    );
}

function withValue(command: Command): Command {
  return command
    .option('--file <file>', 'read the value from a file, `-` for standard input')
    .option('--lease <id>', 'the key ends with this lease', wholeNumber(1))
    .option('--relaxed <ms>', RELAXED_HELP, wholeNumber(1, RELAXED_MS_MAX));
}

async function put(
  { client, format }: Context,
  query: Readonly<Record<string, string | number | undefined>>,
  body: Uint8Array,
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' };
  const path = withQuery(KV, query);
  const answer = await client.json<KvWriteReply>(path, { method: 'PUT', body, headers });
  if (format === 'json') return printJson(answer);
  process.stdout.write(`${answer.revision}\n`);
}

async function valueOf(value: string | undefined, file: string | undefined): Promise<Uint8Array> {
  if (value !== undefined && file !== undefined) {
    throw new HoldfastError('InvalidArgument', 'a value and --file were both given', {
      hint: 'give one',
    });
  }
  return value === undefined ? readInput(file) : Buffer.from(value);
}
