/** Cycles of SIGKILL: each lets a writer go on, kills it, and checks what it left. */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Backup } from './backups.ts';
import { FAULTS, noFaults, type Fault } from './faults.ts';
import { checkStore, WriterProcess } from './processes.ts';
import { Random } from './random.ts';
import { Account } from './told.ts';
import type { FileBackend } from './store-files.ts';

/** A store lives through this many kills, so that old ones with compacted logs are killed as well as young ones. */
const KILLS_PER_STORE = 12;
/** The kill comes after 1 to this many further acknowledgements: up to half a second. */
const ACKS_MAX = 1500;
/** One in so many comes while the store is being opened, this long at most after the process began. */
const AT_START_ONE_IN = 6;
const AT_START_MS_MAX = 250;
/** One in so many comes while a backup is made. */
const BACKUP_ONE_IN = 3;

export interface KillOptions {
  readonly backend: FileBackend;
  /** A temporary one. */
  readonly folder: string;
  readonly seed: number;
  readonly goesOn: (totals: KillTotals) => boolean;
  /** The control: a writer that acknowledges before it writes. It has to lose. */
  readonly early?: boolean;
  /** Stops between two cycles. */
  readonly signal?: AbortSignal;
  /** After each cycle, with what was found at it. */
  readonly progress?: (totals: KillTotals, messages: readonly string[]) => void;
}

export interface KillTotals {
  cycles: number;
  /** Different writes that were acknowledged before a kill. */
  acknowledged: number;
  /** Of these, and of leases and of what watches have shown, missing after it. */
  lost: number;
  /** All of `faults`. */
  broken: number;
  readonly faults: Record<Fault, number>;
  /** Durable without having been answered; allowed. */
  phantoms: number;
  /** Revisions that watches have shown, each once. */
  seen: number;
  /** Leases that were granted. */
  leases: number;
  /** Backups that were made beside a writer which was killed, and hold what they should. */
  backups: number;
  /** Cycles that found a store whose log had been compacted. */
  compacted: number;
  readonly messages: string[];
}

export async function killEngine(options: KillOptions): Promise<KillTotals> {
  mkdirSync(options.folder, { recursive: true });
  const cycles = new Cycles(options);
  while (options.goesOn(cycles.totals) && !options.signal?.aborted) await cycles.next();
  return cycles.totals;
}

class Cycles {
  readonly totals: KillTotals = {
    cycles: 0,
    acknowledged: 0,
    lost: 0,
    broken: 0,
    faults: noFaults(),
    phantoms: 0,
    seen: 0,
    leases: 0,
    backups: 0,
    compacted: 0,
    messages: [],
  };
  readonly #options: KillOptions;
  readonly #random: Random;
  /** Of the store that lives now. */
  #account = new Account();

  constructor(options: KillOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  get #store(): { readonly backend: FileBackend; readonly path: string } {
    return { backend: this.#options.backend, path: path.join(this.#options.folder, 'engine') };
  }

  async next(): Promise<void> {
    const { totals } = this;
    if (totals.cycles % KILLS_PER_STORE === 0) this.#begin();
    const before = totals.messages.length;
    const writer = await this.#spawn();
    let backup: Backup | undefined;
    try {
      backup = await this.#work(writer);
    } finally {
      await writer.kill();
    }
    this.#account.addAll(writer.account);
    totals.acknowledged += writer.acks.length;
    totals.seen += writer.account.seen.length;
    totals.leases += writer.account.leases.filter(({ state }) => state === 'granted').length;
    await this.#check();
    if (backup) await this.#checkBackup(backup);
    totals.cycles += 1;
    this.#options.progress?.(totals, totals.messages.slice(before));
    // What was lost once would be counted again at each later kill.
    if (totals.lost + totals.broken > 0) this.#begin();
  }

  #begin(): void {
    rmSync(this.#store.path, { recursive: true, force: true });
    this.#account = new Account();
  }

  #spawn(): Promise<WriterProcess> {
    return WriterProcess.spawn({
      ...this.#store,
      compacts: true,
      early: this.#options.early ?? false,
      epoch: `${this.totals.cycles}`,
      account: this.#account,
      seed: this.#random.below(2 ** 31),
    });
  }

  /** Resolves when the kill has to come. */
  async #work(writer: WriterProcess): Promise<Backup | undefined> {
    const random = this.#random;
    // The control has nothing to lose before it has said something.
    if (!this.#options.early && random.below(AT_START_ONE_IN) === 0) {
      await sleep(random.below(AT_START_MS_MAX));
      return undefined;
    }
    await writer.opened();
    const acks = 1 + random.below(ACKS_MAX);
    const backsUp = random.below(BACKUP_ONE_IN) === 0 && !this.#options.early;
    const revision = Math.max(this.#account.revision, writer.account.revision);
    const file = path.join(this.#options.folder, 'backup');
    const backup = backsUp ? await Backup.start(this.#store.path, file, revision) : undefined;
    await writer.acknowledged(writer.acks.length + acks);
    return backup;
  }

  async #check(): Promise<void> {
    const { totals } = this;
    const listFile = path.join(this.#options.folder, 'account');
    const report = await checkStore({
      ...this.#store,
      account: this.#account,
      listFile,
      epoch: `${totals.cycles}`,
    });
    this.#account.addAll(report.told);
    totals.lost += report.lost;
    totals.broken += report.broken;
    for (const fault of FAULTS) totals.faults[fault] += report.faults[fault];
    totals.phantoms += report.phantoms;
    totals.compacted += report.compacted > 0 ? 1 : 0;
    totals.messages.push(...report.messages);
  }

  async #checkBackup(backup: Backup): Promise<void> {
    const messages = await backup.check(this.#options.backend, this.#account);
    this.totals.messages.push(...messages);
    this.totals.lost += messages.length;
    this.totals.backups += messages.length === 0 ? 1 : 0;
  }
}
