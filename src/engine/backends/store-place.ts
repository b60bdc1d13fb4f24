/**
 * Where the files of a store are: at their names, or, when those were deleted or replaced under the process
 * that has it open, behind that process' own descriptors (`/proc/<pid>/fd`, proc_pid_fd(5)). Opening one of
 * those gives the very file, whatever became of its name. It needs the rights of that process' user, or root.
 */
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { HoldfastError } from '../../base/errors.ts';
import { notOurs, STORE_FILES, type FileBackend } from './store-file.ts';

export interface StorePlace {
  readonly backend: FileBackend;
  readonly file: string;
  /** Of SQLite; it may not be there. */
  readonly wal: string;
  /** They have lost their names: side files can't be found by them. */
  readonly isNameless: boolean;
}

const BACKENDS = Object.keys(STORE_FILES) as FileBackend[];
/** What the kernel puts behind the name of a file that has none any more. */
const DELETED = ' (deleted)';

/**
 * @param pid the process that has it open, if there is one
 * @throws NotFound, StateMismatch (stores of two backends)
 */
export function findStore(folder: string, pid?: number): StorePlace {
  return (pid === undefined ? undefined : placeInProcess(folder, pid)) ?? placeByName(folder);
}

function placeByName(folder: string): StorePlace {
  const found = BACKENDS.filter((backend) => existsSync(join(folder, STORE_FILES[backend])));
  const [backend, other] = found;
  if (other !== undefined)
    throw notOurs(folder, `it holds a store of ${found.join(' and one of ')}`);
  if (backend !== undefined) {
    const file = join(folder, STORE_FILES[backend]);
    return { backend, file, wal: `${file}-wal`, isNameless: false };
  }
  throw new HoldfastError('NotFound', `no store is in ${folder}`, {
    hint: `name the folder that has ${Object.values(STORE_FILES).join(' or ')} in it`,
  });
}

/** Undefined when its files are those at their names, or can't be told. */
function placeInProcess(folder: string, pid: number): StorePlace | undefined {
  const opened = openedBy(pid);
  for (const backend of BACKENDS) {
    const name = STORE_FILES[backend];
    const file = opened.get(name);
    if (file === undefined) continue;
    const walName = `${name}-wal`;
    const wal = opened.get(walName);
    const isAsNamed =
      isSame(file, join(folder, name)) && (wal === undefined || isSame(wal, join(folder, walName)));
    if (isAsNamed) return undefined;
    return { backend, file, wal: wal ?? join(folder, walName), isNameless: true };
  }
  return undefined;
}

/** Descriptors by the last part of their files' names. */
function openedBy(pid: number): Map<string, string> {
  const found = new Map<string, string>();
  const folder = `/proc/${pid}/fd`;
  try {
    for (const fd of readdirSync(folder)) {
      const link = join(folder, fd);
      const name = basename(linkOf(link));
      found.set(name.endsWith(DELETED) ? name.slice(0, -DELETED.length) : name, link);
    }
  } catch {
    // It ended, or isn't ours to look into: then what is at the names has to do.
  }
  return found;
}

/** Empty for one that was closed meanwhile. */
function linkOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => statSync(file, { throwIfNoEntry: false }));
  return a !== undefined && a.dev === b?.dev && a.ino === b.ino;
}
