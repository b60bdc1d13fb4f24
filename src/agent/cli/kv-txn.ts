/** `kv txn`: a transaction from standard input, decided and done at once. */
import type { Command } from 'commander';
import { HoldfastError, messageOf } from '../../base/errors.ts';
import type { TxnOpBody, TxnReply, TxnRequest } from '../faces/agent-api/schema.ts';
import { verb, type Context } from './context.ts';
import { readInput } from './input.ts';
import { preview, printable, printJson } from './output.ts';

const TXN = '/agent/v1/kv/txn';

const TXN_HELP = `
Reads one JSON object: when all of "compares" hold, "then" is done, otherwise "else", all at one revision.
  echo '{"compares": [{"key": "app/color", "target": "version", "operator": "=", "number": 0}],
         "then": [{"type": "put", "key": "app/color", "text": "blue"}],
         "else": [{"type": "get", "key": "app/color"}]}' | holdfast kv txn
Keys are named by "key", "prefix", or "fromKey" and "beforeKey". "target" is version, createRevision, modRevision,
lease (with "number") or value (with "text", or "value" in base64); "operator" is =, !=, < or >.
Ops: put ("text" or "value", "lease"), delete, get ("limit"); "previous": true answers what was there before.
The exit code is 0 for both branches; -o json has "succeeded". With --dry-run nothing is written: the compares are
decided, and what each op of the branch is about is read as it is now.`;

export function addTxnVerb(group: Command): void {
  group
    .command('txn [file]')
    .description('compare, then write: JSON from a file or standard input')
    .option('--dry-run', 'only decide, and show what would be written over')
    .addHelpText('after', TXN_HELP)
    .action(verb(txn));
}

async function txn(
  context: Context,
  file: string | undefined,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<void> {
  const request = parse((await readInput(file)).toString('utf8'));
  const sent = dryRun ? withoutWrites(request) : request;
  const answer = await context.client.send<TxnReply>(TXN, 'POST', sent);
  if (context.format === 'json') return printJson({ ...answer, dryRun });
  const branch = answer.succeeded ? request.then : request.else;
  const taken = answer.succeeded ? 'then' : 'else';
  process.stdout.write(
    `${dryRun ? 'would do' : 'did'} "${taken}" at revision ${answer.revision}\n`,
  );
  for (const [i, result] of answer.results.entries()) {
    process.stdout.write(`${describe(branch?.[i], result)}\n`);
  }
}

/** Only its form: what is in it is for the agent to judge. */
function parse(text: string): TxnRequest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(`this is not JSON: ${messageOf(cause)}`, cause);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw invalid('a transaction is a JSON object');
}

function invalid(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError('InvalidArgument', message, { hint: 'holdfast kv txn --help', cause });
}

/** Each write becomes a read of the keys it is about. */
function withoutWrites(request: TxnRequest): TxnRequest {
  const { then, else: otherwise, ...rest } = request;
  return {
    ...rest,
    ...(then && { then: then.map(asRead) }),
    ...(otherwise && { else: otherwise.map(asRead) }),
  };
}

function asRead(op: TxnOpBody): TxnOpBody {
  // A type that isn't known is refused by the agent, with the ones that are.
  if (op.type !== 'put' && op.type !== 'delete') return op;
  const { key, prefix, fromKey, beforeKey } = op;
  return { type: 'get', ...defined({ key, prefix, fromKey, beforeKey }) };
}

function defined(span: Record<string, string | undefined>): Partial<TxnOpBody> {
  return Object.fromEntries(Object.entries(span).filter(([, part]) => part !== undefined));
}

function describe(op: TxnOpBody | undefined, result: TxnReply['results'][number]): string {
  const what = `${op?.type ?? result.type} ${printable(keysOf(op))}`;
  const kvs = result.kvs ?? result.previous ?? [];
  const count = result.deleted === undefined ? '' : `: ${result.deleted} deleted`;
  const lines = kvs.map((kv) => `  ${printable(kv.key)} ${kv.modRevision} ${preview(kv)}`);
  return [`${what}${count}`, ...lines, ...(result.more ? ['  …'] : [])].join('\n');
}

function keysOf(op: TxnOpBody | undefined): string {
  if (op?.key !== undefined) return op.key;
  if (op?.prefix !== undefined) return `under "${op.prefix}"`;
  return `from "${op?.fromKey ?? ''}" before "${op?.beforeKey ?? ''}"`;
}
