/** Cuts under a writing engine: each round lets a writer go on, cuts, and checks what the cut left. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Random } from '../crash/random.ts';
import { checkStore, WriterProcess } from '../crash/processes.ts';
import type { BackendName } from '../../src/engine/index.ts';
import type { Ack } from '../crash/workload.ts';
import type { Rig } from './rig.ts';

/** The store's folder on the disk. */
const STORE = 'engine';
/** A store lives through this many cuts, so that old stores with compacted logs are cut as well as young ones. */
const CUTS_PER_STORE = 10;
/** The cut comes after 1 to this many further acknowledgements: a tenth of a second to one. */
const ACKS_BETWEEN_CUTS_MAX = 1500;

export interface CutsOptions {
  readonly rig: Rig;
  readonly backend: BackendName;
  /** `none` is the control: it has to lose. */
  readonly durability: 'commit' | 'none';
  readonly cuts: number;
  readonly seed: number;
  /** Stops between two rounds. */
  readonly signal?: AbortSignal;
  /** After each cut, with what was found at it. */
  readonly progress?: (totals: Totals, messages: readonly string[]) => void;
}

export interface Totals {
  cuts: number;
  /** Different writes that were acknowledged before a cut. */
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
  const totals: Totals = {
    cuts: 0,
    acknowledged: 0,
    lost: 0,
    broken: 0,
    phantoms: 0,
    compacted: 0,
    messages: [],
  };
  const random = new Random(options.seed);
  // What the control lost once would be counted again at each later cut.
  const cutsPerStore = options.durability === 'none' ? 1 : CUTS_PER_STORE;
  let acks: Ack[] = [];
  for (let round = 0; round < options.cuts && !options.signal?.aborted; round += 1) {
    if (round % cutsPerStore === 0) {
      acks = [];
      rmSync(path.join(options.rig.folder, STORE), { recursive: true, force: true });
    }
    const before = totals.messages.length;
    acks = await cutOnce(options, { round, random, acks }, totals);
    options.progress?.(totals, totals.messages.slice(before));
  }
  rmSync(path.join(options.rig.folder, STORE), { recursive: true, force: true });
  return totals;
}

interface Round {
  readonly round: number;
  readonly random: Random;
  /** Of this store, from earlier rounds. */
  readonly acks: readonly Ack[];
}

/** @returns all acknowledgements of the store so far, those after the cut included */
async function cutOnce(options: CutsOptions, at: Round, totals: Totals): Promise<Ack[]> {
  const { rig, backend, durability } = options;
  const writer = await WriterProcess.start({
    backend,
    durability,
    compacts: true,
    epoch: `${at.round}`,
    path: path.join(rig.folder, STORE),
    seed: at.random.below(2 ** 31),
    after: at.acks.reduce((max, ack) => Math.max(max, ack.revision), 0),
  });
  try {
    await writer.acknowledged(writer.acks.length + 1 + at.random.below(ACKS_BETWEEN_CUTS_MAX));
    const before = writer.acks.length;
    await using disk = await rig.cut();
    await writer.kill();
    const report = await checkStore({
      backend,
      path: path.join(disk.folder, STORE),
      acks: [...at.acks, ...writer.acks.slice(0, before)],
      listFile: path.join(rig.outside, 'acks'),
      epoch: `${at.round}`,
    });
    totals.cuts += 1;
    totals.acknowledged += before;
    totals.lost += report.lost;
    totals.broken += report.broken;
    totals.phantoms += report.phantoms;
    totals.compacted += report.compacted > 0 ? 1 : 0;
    totals.messages.push(...report.messages);
    return [...at.acks, ...writer.acks];
  } finally {
    await writer.kill();
  }
}
