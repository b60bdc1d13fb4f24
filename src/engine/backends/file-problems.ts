/** What a store's files say about themselves, below our records. LMDB's pages are walked when it is opened. */
import './sqlite-uri.ts';
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { walProblem } from './sqlite-wal.ts';
import { STORE_FILES } from './store-file.ts';
import type { StorePlace } from './store-place.ts';
import type { Finding } from '../check.ts';

/** Problems that SQLite lists of one file: the first ones say enough. */
const PROBLEMS_MAX = 20;

/**
 * @param place of the store itself, which is only read
 * @param copy the folder of a private copy, which may be written
 */
export function fileProblems({ backend, wal }: StorePlace, copy: string): Finding[] {
  if (backend === 'lmdb') return [];
  const file = join(copy, STORE_FILES[backend]);
  return [...walProblems(file, wal), ...pageProblems(file)];
}

/** A copy taken while the agent wrote may lack a frame and have the next one; the file itself has both then. */
function walProblems(copy: string, wal: string): Finding[] {
  const found = walProblem(`${copy}-wal`);
  if (!found || walProblem(wal)?.frame !== found.frame) return [];
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
