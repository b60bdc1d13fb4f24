/** What a store's files say about themselves, below our records. LMDB's pages are walked when it is opened. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { walProblem } from './sqlite-wal.ts';
import { STORE_FILES, type FileBackend } from './store-file.ts';
import type { Finding } from '../check.ts';

/** Problems that SQLite lists of one file: the first ones say enough. */
const PROBLEMS_MAX = 20;

/**
 * @param copy the folder of a private copy, which may be written
 * @param folder of the store itself, which is only read
 */
export function fileProblems(backend: FileBackend, copy: string, folder: string): Finding[] {
  if (backend === 'lmdb') return [];
  const file = STORE_FILES[backend];
  return [...walProblems(join(copy, file), join(folder, file)), ...pageProblems(join(copy, file))];
}

/** A copy taken while the agent wrote may lack a frame and have the next one; the file itself has both then. */
function walProblems(copy: string, file: string): Finding[] {
  const found = walProblem(`${copy}-wal`);
  if (!found || walProblem(`${file}-wal`)?.frame !== found.frame) return [];
  return [{ severity: found.severity, what: found.what, where: `${STORE_FILES.sqlite}-wal` }];
}

function pageProblems(copy: string): Finding[] {
  const told = (what: string): Finding => ({ severity: 'error', what, where: STORE_FILES.sqlite });
  try {
    const db = new Database(copy, { fileMustExist: true });
    try {
      const rows = db.prepare<[], string>(`PRAGMA integrity_check(${PROBLEMS_MAX})`).pluck().all();
      return rows.filter((row) => row !== 'ok').map(told);
    } finally {
      db.close();
    }
  } catch (thrown) {
    return [told(messageOf(thrown))];
  }
}
