/**
 * SIGKILL at every step of `holdfast kv backup`, in the command's process or the one that reads: the store
 * is as it was, and what bears the backup's name is nothing yet, or all of it.
 */
import { cpSync, mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { compiledProgram } from '../support/compiled.ts';
import { checkBackup } from './backups.ts';
import { checkStore, WriterProcess } from './processes.ts';
import { contents, type FileBackend } from './store-files.ts';
import { noSteps, spread, type StepTotals } from './steps.ts';
import { trace, WRITING_CALLS, type Call, type Traced } from './strace.ts';
import { Account } from './told.ts';

/** Enough for several pages of keys. */
const ACKS_MIN = 800;
/** The rest of what writes is of the process itself: pipes and wake-ups. */
const COPYING_CALLS = WRITING_CALLS.filter((name) => !name.startsWith('write'));

export interface BackupStepOptions {
  readonly backend: FileBackend;
  /** A temporary one. */
  readonly folder: string;
  readonly killsPerStep: number;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (totals: StepTotals, messages: readonly string[]) => void;
}

export async function killBackups(options: BackupStepOptions): Promise<StepTotals> {
  mkdirSync(options.folder, { recursive: true });
  const writer = await WriterProcess.start({
    backend: options.backend,
    path: path.join(options.folder, 'engine'),
    seed: 1,
    epoch: 'a',
  });
  try {
    await writer.acknowledged(ACKS_MIN);
  } finally {
    await writer.kill();
  }
  const { revision } = writer.account;
  const steps = new BackupSteps(options, await withPhantoms(options, writer.account), revision);
  await steps.run();
  return steps.totals;
}

/** A backup has no log: that a key was deleted by a write whose answer never came, only the store can say. */
async function withPhantoms(options: BackupStepOptions, account: Account): Promise<Account> {
  const { backend, folder } = options;
  const copy = path.join(folder, 'checked');
  cpSync(path.join(folder, 'engine'), copy, { recursive: true });
  const listFile = path.join(folder, 'account');
  const report = await checkStore({ backend, path: copy, account, listFile, epoch: 'c' });
  rmSync(copy, { recursive: true });
  if (report.lost + report.broken > 0) throw new Error(report.messages.join('; '));
  return Account.of([...account, ...report.told]);
}

class BackupSteps {
  readonly totals = noSteps();
  readonly #options: BackupStepOptions;
  readonly #account: Account;
  /** The last acknowledged one. */
  readonly #revisionMin: number;
  readonly #store: string;
  readonly #file: string;
  readonly #scratch: string;
  readonly #before: readonly string[];

  constructor(options: BackupStepOptions, account: Account, revisionMin: number) {
    this.#options = options;
    this.#account = account;
    this.#revisionMin = revisionMin;
    this.#store = path.join(options.folder, 'engine');
    this.#file = path.join(options.folder, 'made');
    this.#scratch = path.join(options.folder, 'scratch');
    this.#before = contents(this.#store);
    this.totals.acknowledged = account.acks.length;
  }

  /** The calls on the backup's own file, then those of the copy, whose name is another each time. */
  async run(): Promise<void> {
    const own = { files: [this.#file, `${this.#file}.partial`, this.#options.folder] };
    for (const seen of [own, { kinds: COPYING_CALLS }]) {
      const whole = await this.#trace(seen);
      if (whole.exit.code !== 0) throw new Error(`the backup failed: ${whole.stderr}`);
      await this.#judge();
      const steps = this.#stepsOf(whole);
      for (const name of steps.keys()) this.totals.hits.set(name, this.totals.hits.get(name) ?? 0);
      for (const calls of steps.values()) {
        for (const call of spread(calls, this.#options.killsPerStep)) {
          if (!this.#options.signal?.aborted) await this.#killIn(call, seen);
        }
      }
    }
  }

  async #killIn({ name, when }: Call, seen: { files?: string[]; kinds?: string[] }): Promise<void> {
    const killed = await this.#trace({ ...seen, inject: `${name}:signal=SIGKILL:when=${when}` });
    const { totals } = this;
    for (const [step, calls] of this.#stepsOf(killed)) {
      if (!calls.some(({ isLast }) => isLast)) continue;
      totals.hits.set(step, (totals.hits.get(step) ?? 0) + 1);
    }
    totals.kills += 1;
    await this.#judge();
  }

  #trace(of: { files?: string[]; kinds?: string[]; inject?: string }): Promise<Traced> {
    const { folder } = this.#options;
    rmSync(this.#scratch, { recursive: true, force: true });
    mkdirSync(this.#scratch);
    for (const file of [this.#file, `${this.#file}.partial`]) rmSync(file, { force: true });
    const program = compiledProgram('src/agent/cli/main.ts', ['src']);
    const args = ['kv', 'backup', this.#file, '--store', this.#store];
    return trace([process.execPath, program, ...args], {
      ...of,
      // One thread copies and removes: which one makes the nth call is the same each time.
      env: { ...process.env, TMPDIR: this.#scratch, UV_THREADPOOL_SIZE: '1' },
      log: path.join(folder, 'trace'),
    });
  }

  /** A call of which another thread makes as many before can't be chosen: its number is met there. */
  #stepsOf({ calls }: Traced): Map<string, Call[]> {
    const steps = new Map<string, Call[]>();
    const met = new Set<string>();
    for (const call of calls) {
      const number = `${call.name} ${call.when}`;
      const isMet = met.has(number) && !call.isLast;
      met.add(number);
      if (isMet || !call.file.startsWith(this.#options.folder)) continue;
      if (call.name.startsWith('access')) continue;
      const file = path.relative(this.#options.folder, call.file);
      const name = `backup/${call.name} ${file.replace(/holdfast-copy-\w+/, 'copy') || '.'}`;
      steps.set(name, [...(steps.get(name) ?? []), call]);
    }
    return steps;
  }

  async #judge(): Promise<void> {
    const { totals } = this;
    const messages: string[] = [];
    if (contents(this.#store).join() !== this.#before.join())
      messages.push('the store was changed');
    // Its name is taken before anything is read: empty, it is no backup to anybody.
    if ((statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0) > 0) {
      const { backend } = this.#options;
      const of = { backend, account: this.#account, revisionMin: this.#revisionMin };
      messages.push(...(await checkBackup(this.#file, of)));
    }
    totals.broken += messages.length;
    totals.messages.push(...messages);
    this.#options.progress?.(totals, messages);
  }
}
