/** A backup made by the command line beside a writer, and what becomes of it when it is restored. */
import { createReadStream, rmSync } from 'node:fs';
import { linesOf } from '../../src/base/lines.ts';
import { restoreBackup } from '../../src/engine/backup.ts';
import { openEngine } from '../../src/engine/index.ts';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import { verify } from './verify.ts';
import type { FileBackend } from './store-files.ts';
import type { Account } from './told.ts';

const NEEDS = ['src/agent', 'src/engine', 'src/base'];

export class Backup {
  readonly #child: Child;
  readonly #file: string;
  /** What was acknowledged when it was asked for is in it. */
  readonly #revisionMin: number;

  private constructor(child: Child, file: string, revisionMin: number) {
    this.#child = child;
    this.#file = file;
    this.#revisionMin = revisionMin;
  }

  static async start(store: string, file: string, revisionMin: number): Promise<Backup> {
    rmSync(file, { force: true });
    const args = ['kv', 'backup', file, '--store', store];
    const program = compiledProgram('src/agent/cli/main.ts', NEEDS);
    return new Backup(await Child.start(process.execPath, [program, ...args]), file, revisionMin);
  }

  /** @returns what is wrong with it */
  async check(backend: FileBackend, account: Account): Promise<readonly string[]> {
    const { code } = await this.#child.exited;
    if (code !== 0) return [`the backup ended with ${code}: ${this.#child.tail()}`];
    return checkBackup(this.#file, { backend, account, revisionMin: this.#revisionMin });
  }
}

/**
 * Restores the file beside itself and holds the store against the account, up to the revision it is of.
 * @throws what a restore throws
 */
export async function checkBackup(
  file: string,
  of: { readonly backend: FileBackend; readonly account: Account; readonly revisionMin: number },
): Promise<readonly string[]> {
  const path = `${file}-restored`;
  try {
    const lines = linesOf(createReadStream(file, 'utf8') as AsyncIterable<string>);
    const { revision } = await restoreBackup(lines, path);
    if (revision < of.revisionMin) {
      return [`the backup is of revision ${revision}, ${of.revisionMin} was acknowledged before`];
    }
    const engine = await openEngine({ backend: of.backend, path });
    try {
      const verdict = await verify(engine, withoutLeases(of.account, revision));
      return verdict.messages.map((message) => `in the backup: ${message}`);
    } finally {
      await engine.close();
    }
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** Keys under a lease are in no backup. */
function withoutLeases({ acks }: Account, revision: number): Account['acks'] {
  return acks
    .filter((ack) => ack.revision <= revision)
    .map((ack) => ({ ...ack, ops: ack.ops.filter(([key]) => !key.startsWith('held/')) }));
}
