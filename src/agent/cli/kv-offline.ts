/** The verbs that read or make a store's files themselves, whether an agent runs or not. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { hasErrno, HoldfastError, messageOf } from '../../base/errors.ts';
import { inspectStore, type BackupSummary, type CheckReport } from '../../engine/index.ts';
import type { StatusReply } from '../faces/agent-api/schema.ts';
import { StateDir } from '../state-dir.ts';
import { CheckProgress } from './check-progress.ts';
import { verb, type Context } from './context.ts';
import { printable, printFields, printJson, printTable, say } from './output.ts';

/** Where the engine keeps the keys that users name; our own lie beside it. */
const USER_PREFIX = 'kv';

const CHECK_HELP = `
Works on a private copy, taken beside a dead or a running agent: no byte of the store is changed. The copy
needs room under TMPDIR. Exit code 1 when errors were found; a warning alone is 0. On a terminal it says how
far it is.`;

const BACKUP_HELP = `
Consistent as of one revision, taken beside a dead or a running agent. Has every key of the store with its
revisions, the agent's own too, but those under a lease. The file must not exist.`;

const RESTORE_HELP = `
Makes <state-dir>/engine out of a backup. It must be missing or empty, and no agent may run on the
state folder. The store is a new incarnation: whoever followed the old one compares.`;

export function addOfflineVerbs(group: Command): void {
  group
    .command('check [store]')
    .description("verify every invariant of a store; default the agent's own")
    .option('--progress', 'say how far it is on standard error, also when that is no terminal')
    .addHelpText('after', CHECK_HELP)
    .action(verb(check));
  group
    .command('backup <file>')
    .description('write a backup of the whole store to a new file')
    .option('--store <folder>', "the store's folder; default the agent's own")
    .addHelpText('after', BACKUP_HELP)
    .action(verb(backup));
  group
    .command('restore-store <file>')
    .description('make a new store out of a backup')
    .addHelpText('after', RESTORE_HELP)
    .action(verb(restoreStore));
}

/** The user's keys under `prefix`, to standard output. */
export async function dumpOffline(
  context: Context,
  prefix: string,
  store: string | undefined,
): Promise<void> {
  const place = await storePlace(context, store);
  const path = prefix.replace(/^\/+|\/+$/g, '');
  const user = path === '' ? USER_PREFIX : `${USER_PREFIX}/${path}`;
  await interruptible((signal) =>
    inspectStore({ kind: 'dump', ...place, prefix: user, skip: USER_PREFIX }, { signal }),
  );
}

async function check(
  context: Context,
  store: string | undefined,
  { progress }: { progress?: boolean },
): Promise<void> {
  const place = await storePlace(context, store);
  const { folder } = place;
  const telling = CheckProgress.to(process.stderr, progress ?? false);
  const report = await interruptible((signal) =>
    inspectStore(
      { kind: 'check', ...place },
      { signal, onStage: telling?.onStage, onProgress: telling?.onProgress },
    ),
  ).finally(() => telling?.end());
  if (report.errors > 0) process.exitCode = 1;
  if (context.format === 'json') return printJson({ store: folder, ...report });
  printReport(folder, report);
}

function printReport(folder: string, report: CheckReport): void {
  if (report.findings.length > 0) {
    printTable(
      ['SEVERITY', 'WHERE', 'WHAT'],
      report.findings.map(({ severity, where, what }) => [
        severity,
        printable(where),
        printable(what),
      ]),
    );
    const more = report.errors + report.warnings - report.findings.length;
    process.stdout.write(more > 0 ? `and ${more} more\n\n` : '\n');
  }
  printFields([
    ['store', folder],
    ['incarnation', report.incarnation],
    ['revision', report.revision],
    ['keys', report.keys],
    ['log records', report.logRecords],
    ['errors', report.errors],
    ['warnings', report.warnings],
  ]);
}

/** Written aside and renamed when complete and synced: a backup is whole or not there. */
async function backup(context: Context, file: string, options: { store?: string }): Promise<void> {
  const place = await storePlace(context, options.store);
  const target = resolve(file);
  const aside = `${target}.partial`;
  closeSync(create(target));
  try {
    const output = create(aside);
    try {
      const summary = await interruptible((signal) =>
        inspectStore({ kind: 'backup', ...place }, { signal, output }),
      );
      fsyncSync(output);
      renameSync(aside, target);
      syncFolder(dirname(target));
      tell(context, target, summary);
    } finally {
      closeSync(output);
    }
  } catch (thrown) {
    rmSync(aside, { force: true });
    rmSync(target, { force: true });
    throw thrown;
  }
}

/** The new name is durable only then. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function create(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    const code = hasErrno(cause, 'EEXIST') ? 'AlreadyExists' : 'InvalidArgument';
    throw new HoldfastError(code, `cannot make ${file}: ${messageOf(cause)}`, { cause });
  }
}

async function restoreStore(context: Context, file: string): Promise<void> {
  const source = resolve(file);
  try {
    closeSync(openSync(source, 'r'));
  } catch (cause) {
    throw new HoldfastError('InvalidArgument', messageOf(cause), { cause });
  }
  // Holds the lock of the state folder until we end.
  const { enginePath } = await StateDir.open(context.paths.stateDir);
  const summary = await interruptible((signal) =>
    inspectStore({ kind: 'restore', folder: enginePath, file: source }, { signal }),
  );
  tell(context, enginePath, summary);
}

function tell({ format }: Context, where: string, summary: BackupSummary): void {
  if (format === 'json') return printJson({ where, ...summary });
  const { keys, revision, incarnation, leased } = summary;
  say(`${where}: ${keys} keys at revision ${revision} of ${incarnation}`);
  if (leased > 0) say(`${leased} keys under a lease were left out`);
}

/** Our agent's own store is asked of it, if it runs: its files may have been deleted or replaced under it. */
async function storePlace(
  { paths, client }: Context,
  store: string | undefined,
): Promise<{ folder: string; pid?: number }> {
  if (store !== undefined) return { folder: resolve(store) };
  const folder = join(paths.stateDir, 'engine');
  const status = client.json<StatusReply>('/agent/v1/status');
  const pid = await status.then((answer) => answer.pid).catch(() => undefined);
  return pid === undefined ? { folder } : { folder, pid };
}

/** Ctrl-C ends the child, and then its copy is removed. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  process.once('SIGINT', abort).once('SIGTERM', abort);
  try {
    return await work(stop.signal);
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort);
  }
}
