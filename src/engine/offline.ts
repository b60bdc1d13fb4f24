/** A store looked into without its engine, beside a dead agent or a running one; its files stay as they are. */
import { corrupt } from './log.ts';
import { decodeIdentity, IDENTITY_KEY } from './record.ts';
import { fileProblems } from './backends/file-problems.ts';
import { copyStore, findStore, type FileBackend } from './backends/snapshot.ts';
import { checkStore, Findings, type CheckOptions, type CheckReport } from './check.ts';
import { HoldfastError } from '../base/errors.ts';
import type { Backend, BackendOptions } from './backend.ts';

export type { FileBackend };

/** What a check does, in this order; before the records come the files as a whole. */
export type CheckStage = 'copy' | 'files' | 'records';

/**
 * Opens a private copy of the store in `folder` (snapshot.ts). Closing it leaves the copy to the caller.
 * @param scratch an empty folder for the copy
 * @param pid the process that has the store open: it is found there when its files have lost their names
 * @throws NotFound, StateMismatch, Corrupt, PermissionDenied, NoSpace, Unavailable (changed faster than it could be copied)
 */
export async function openOffline(folder: string, scratch: string, pid?: number): Promise<Backend> {
  const place = findStore(folder, pid);
  await copyStore(place, scratch);
  const backend = await openCopy(place.backend, scratch);
  try {
    // A newer format is refused before anybody makes something of it.
    decodeIdentity(backend.get('meta', IDENTITY_KEY));
    return backend;
  } catch (thrown) {
    await backend.close();
    throw thrown;
  }
}

/**
 * Everything that can be wrong with the store in `folder`, of its files and of its records.
 * @param scratch an empty folder for a copy. @throws as openOffline does, but Corrupt, which is a finding
 */
export async function checkOffline(
  folder: string,
  scratch: string,
  options: CheckOptions & {
    readonly pid?: number | undefined;
    readonly onStage?: (stage: CheckStage) => void;
  } = {},
): Promise<CheckReport> {
  const { onStage = (): void => undefined } = options;
  const place = findStore(folder, options.pid);
  onStage('copy');
  await copyStore(place, scratch);
  onStage('files');
  const ofFiles = fileProblems(place, scratch);
  onStage('records');
  const ofRecords = await checkCopy(place.backend, scratch, options);
  const findings = new Findings(options.findingsMax);
  for (const { where, what, severity } of ofFiles) findings.add(where, what, severity);
  return {
    ...ofRecords,
    errors: ofRecords.errors + findings.errors,
    warnings: ofRecords.warnings + findings.warnings,
    findings: [...findings.kept, ...ofRecords.findings],
  };
}

async function checkCopy(
  name: FileBackend,
  scratch: string,
  options: CheckOptions,
): Promise<CheckReport> {
  try {
    const backend = await openCopy(name, scratch);
    try {
      return checkStore(backend, options);
    } finally {
      await backend.close();
    }
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError) || thrown.code !== 'Corrupt') throw thrown;
    const findings = [{ severity: 'error', what: thrown.message, where: 'store' } as const];
    const unknown = { incarnation: undefined, revision: undefined, compacted: undefined };
    return { ...unknown, keys: 0, logRecords: 0, errors: 1, warnings: 0, findings };
  }
}

function openCopy(name: FileBackend, path: string): Promise<Backend> {
  return openBackend(name, {
    path,
    durability: 'none',
    isCopy: true,
    // It is there: a copy that vanished must not become an empty store.
    initial: () => {
      throw corrupt(`its copy in ${path} is gone`);
    },
    verify: () => undefined,
  });
}

/** Without an engine over it. @throws StateMismatch, Corrupt, PermissionDenied, NoSpace */
export async function openBackend(name: FileBackend, options: BackendOptions): Promise<Backend> {
  return name === 'sqlite'
    ? (await import('./backends/sqlite.ts')).openSqlite(options)
    : (await import('./backends/lmdb.ts')).openLmdb(options);
}
