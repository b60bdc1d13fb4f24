/**
 * Looking into a store offline, in a process of its own: LMDB trusts what it maps, so a damaged store may
 * kill whoever reads it. That is then a clean error here. The private copy lives in a folder under
 * TMPDIR which is removed however the child ends.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HoldfastError, type ErrorBody } from '../base/errors.ts';
import type { BackupSummary } from './backup.ts';
import type { CheckReport } from './check.ts';
import type { CheckStage } from './offline.ts';
import type { Table } from './backend.ts';

interface OfStore {
  readonly folder: string;
  /** The process that has the store open: it is found there when its files have lost their names. */
  readonly pid?: number | undefined;
}

/** What the child is asked for. `dump` and `backup` write to its standard output; `folder` is the store's own. */
export type InspectJob =
  | (OfStore & { readonly kind: 'check' })
  /** The keys under `prefix` as JSON lines, named from `skip` on, a prefix of that. */
  | (OfStore & { readonly kind: 'dump'; readonly prefix: string; readonly skip: string })
  | (OfStore & { readonly kind: 'backup' })
  /** `file` is a backup, `folder` missing or empty. */
  | { readonly kind: 'restore'; readonly folder: string; readonly file: string };

export interface InspectResults {
  readonly check: CheckReport;
  readonly dump: { readonly keys: number };
  readonly backup: BackupSummary;
  readonly restore: BackupSummary;
}

export type InspectMessage =
  | { readonly type: 'stage'; readonly stage: CheckStage }
  | { readonly type: 'progress'; readonly table: Table; readonly entries: number }
  | { readonly type: 'result'; readonly result: InspectResults[keyof InspectResults] }
  | { readonly type: 'error'; readonly error: ErrorBody };

export interface InspectOptions {
  /** Where the child writes to: a descriptor of ours; default 1. */
  readonly output?: number | undefined;
  /** Ends the child. */
  readonly signal?: AbortSignal | undefined;
  /** A check has come so far. */
  readonly onStage?: ((stage: CheckStage) => void) | undefined;
  /** Entries of a table read since the last call; the log is read twice. */
  readonly onProgress?: ((table: Table, entries: number) => void) | undefined;
}

/** @throws NotFound, AlreadyExists (restore), StateMismatch, Corrupt, PermissionDenied, NoSpace, Unavailable, Cancelled */
export async function inspectStore<Kind extends keyof InspectResults>(
  job: Extract<InspectJob, { kind: Kind }>,
  options: InspectOptions = {},
): Promise<InspectResults[Kind]> {
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-copy-'));
  try {
    const main = fileURLToPath(import.meta.resolve('./inspect-main.js'));
    const child = fork(main, [JSON.stringify(job), scratch], {
      stdio: ['ignore', options.output ?? 1, 'inherit', 'ipc'],
      signal: options.signal,
    });
    return (await resultOf(child, options)) as InspectResults[Kind];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function resultOf(
  child: ChildProcess,
  { onProgress, onStage, signal }: InspectOptions,
): Promise<InspectResults[keyof InspectResults]> {
  return new Promise((resolve, reject) => {
    let last: InspectMessage | undefined;
    child.on('message', (message: InspectMessage) => {
      if (message.type === 'progress') onProgress?.(message.table, message.entries);
      else if (message.type === 'stage') onStage?.(message.stage);
      else last = message;
    });
    child.on('error', (cause) => {
      if (!signal?.aborted) reject(cause);
    });
    child.on('close', (code, killedBy) => {
      if (last?.type === 'result' && code === 0) return resolve(last.result);
      if (last?.type === 'error') return reject(asError(last.error));
      if (signal?.aborted) return reject(new HoldfastError('Cancelled', 'stopped when asked to'));
      reject(
        new HoldfastError(
          'Corrupt',
          `the process that read the store was ended by ${killedBy ?? `exit ${code}`}`,
          { hint: 'its file is damaged: keep a copy, then restore it from a backup' },
        ),
      );
    });
  });
}

function asError({ code, message, hint, retry }: ErrorBody): HoldfastError {
  return new HoldfastError(code, message, { hint, retry });
}
