/** Cuts under a writing engine, which goes on when what a cut left is checked. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Random } from '../crash/random.ts';
import { checkStore, WriterProcess } from '../crash/processes.ts';
import type { BackendName } from '../../src/engine/index.ts';
import { Account } from '../crash/told.ts';
import type { Rig } from './rig.ts';

/** The store's folder on the disk. */
const STORE = 'engine';
/** A store lives through this many cuts, so that old stores with compacted logs are cut as well as young ones. */
const CUTS_PER_STORE = 10;
/** A writer writes on through this many; then it is killed, and the next one finds what it left. */
const CUTS_PER_WRITER = 5;
/** The cut comes after 1 to this many further acknowledgements: up to half a second. */
const ACKS_BETWEEN_CUTS_MAX = 1000;

export interface CutsOptions {
  readonly rig: Rig;
  readonly backend: BackendName;
  /** `none` is the control: it has to lose. */
  readonly durability: 'commit' | 'none';
  readonly cuts: number;
  readonly seed: number;
  /** Stops between two cuts. */
  readonly signal?: AbortSignal;
  /** After each cut, with what was found at it. */
  readonly progress?: (totals: Totals, messages: readonly string[]) => void;
}

export interface Totals {
  cuts: number;
  /** Different writes that were acknowledged while the power was cut again and again. */
  acknowledged: number;
  /** Of these, missing after the cut. A store that can't be opened has lost all. */
  lost: number;
  /** Contradictions within a store: never allowed, also not in what was not acknowledged. */
  broken: number;
  /** Durable without having been answered; allowed. */
  phantoms: number;
  /** Cuts that found a store whose log had been compacted. */
  compacted: number;
  messages: string[];
}

export async function cutEngine(options: CutsOptions): Promise<Totals> {
  const cuts = new Cuts(options);
  try {
    while (cuts.totals.cuts < options.cuts && !options.signal?.aborted) await cuts.next();
    return cuts.totals;
  } finally {
    await cuts.end();
  }
}

class Cuts {
  readonly totals: Totals = {
    cuts: 0,
    acknowledged: 0,
    lost: 0,
    broken: 0,
    phantoms: 0,
    compacted: 0,
    messages: [],
  };
  readonly #options: CutsOptions;
  readonly #random: Random;
  /** Of the store that is cut now, from writers that were killed. */
  #account = new Account();
  #writer: WriterProcess | undefined;

  constructor(options: CutsOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  get #store(): string {
    return path.join(this.#options.rig.folder, STORE);
  }

  async next(): Promise<void> {
    const { totals } = this;
    // What the control lost once would be counted again at each later cut.
    const perStore = this.#options.durability === 'none' ? 1 : CUTS_PER_STORE;
    if (totals.cuts % perStore === 0) await this.end();
    else if (totals.cuts % CUTS_PER_WRITER === 0) await this.#stopWriter();
    const before = totals.messages.length;
    this.#writer ??= await this.#startWriter();
    await this.#cut(this.#writer);
    totals.cuts += 1;
    this.#options.progress?.(totals, totals.messages.slice(before));
  }

  /** The store is gone then. */
  async end(): Promise<void> {
    await this.#stopWriter();
    rmSync(this.#store, { recursive: true, force: true });
    this.#account = new Account();
  }

  #startWriter(): Promise<WriterProcess> {
    const { backend, durability } = this.#options;
    return WriterProcess.start({
      backend,
      durability,
      compacts: true,
      epoch: `${this.totals.cuts}`,
      path: this.#store,
      seed: this.#random.below(2 ** 31),
      account: this.#account,
    });
  }

  async #stopWriter(): Promise<void> {
    if (!this.#writer) return;
    await this.#writer.kill();
    this.totals.acknowledged += this.#writer.acks.length;
    this.#account.addAll(this.#writer.account);
    this.#writer = undefined;
  }

  async #cut(writer: WriterProcess): Promise<void> {
    const { rig, backend } = this.#options;
    const { totals } = this;
    const more = 1 + this.#random.below(ACKS_BETWEEN_CUTS_MAX);
    await writer.acknowledged(writer.acks.length + more);
    const account = Account.of(this.#account);
    account.addAll(writer.account);
    const told = writer.account.leases.length;
    await using disk = await rig.cut();
    // It stands still meanwhile: what it would write is of no use, and takes the checker's time.
    writer.pause();
    await nextTurn();
    // What lay in the pipe at the cut is read by now: who was about to end a lease had said so before.
    for (const { lease, state } of writer.account.leases.slice(told)) {
      if (state === 'ending') account.add({ lease, state });
    }
    const report = await checkStore({
      backend,
      path: path.join(disk.folder, STORE),
      account,
      listFile: path.join(rig.outside, 'account'),
      epoch: `${totals.cuts}`,
    });
    totals.lost += report.lost;
    totals.broken += report.broken;
    totals.phantoms += report.phantoms;
    totals.compacted += report.compacted > 0 ? 1 : 0;
    totals.messages.push(...report.messages);
    writer.resume();
  }
}
