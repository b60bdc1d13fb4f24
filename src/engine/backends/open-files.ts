/**
 * Whether the store's files are still the ones that were opened. A file that is deleted or replaced under us is
 * still read and written, by its inode: all goes well until the store is closed, and then it is gone.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_FILES, type FileBackend } from './store-file.ts';

/** What each backend's data is in: the file itself and, with SQLite, what was not folded into it yet. */
const SUFFIXES: Readonly<Record<FileBackend, readonly string[]>> = {
  sqlite: ['', '-wal'],
  lmdb: [''],
};

export class OpenFiles {
  readonly #files: readonly string[];
  /** By path; a file that comes into being later is known from when it was first seen. */
  readonly #opened = new Map<string, string>();

  /** Right after the store was opened. */
  constructor(folder: string, backend: FileBackend) {
    const file = join(folder, STORE_FILES[backend]);
    this.#files = SUFFIXES[backend].map((suffix) => `${file}${suffix}`);
    this.problem();
  }

  /** Costs a stat(2) or two. @returns what is wrong and what to do */
  problem(): string | undefined {
    for (const file of this.#files) {
      const now = identityOf(file);
      const opened = this.#opened.get(file);
      if (opened === now) continue;
      if (opened === undefined) {
        this.#opened.set(file, now!);
        continue;
      }
      const what = now === undefined ? 'was deleted or moved' : 'was replaced by another file';
      return `${file} ${what} while it is in use: what is written goes to the old one, and is lost when the agent stops; take \`holdfast kv backup FILE\` now`;
    }
    return undefined;
  }
}

function identityOf(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true });
  return found && `${found.dev} ${found.ino}`;
}
