/** What a put costs the disk, by what the kernel sent to a block device, checkpoints and ext4's journal included. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { blockStat } from '../../test/powercut/block-stat.ts';
import { Rig } from '../../test/powercut/rig.ts';
import { Load } from './load.ts';
import { BACKENDS, EngineSubject, openPeer, type BackendName, type Subject } from './subject.ts';
import type { Plan } from './plan.ts';
import type { Row } from './row.ts';

/** Issue 3, for the default backend; the other one is reported. */
const DEFAULT_BACKEND: BackendName = 'sqlite';
const SLICE_MS = 50;
const TARGET_BYTES = { 1: 16_000, 64: 4_000 } as const;

export async function diskBytes(plan: Plan): Promise<Row[]> {
  await using rig = await Rig.create();
  const rows: Row[] = [];
  for (const backend of BACKENDS) {
    for (const inFlight of [1, 64] as const) {
      const folder = path.join(rig.folder, `${backend}-${inFlight}`);
      mkdirSync(path.join(folder, 'peer'), { recursive: true });
      const ours = await EngineSubject.open(backend, path.join(folder, 'ours'));
      const mine = await bytesPerPut(rig, ours, inFlight, plan);
      const peer = openPeer(backend, path.join(folder, 'peer'));
      const theirs = await bytesPerPut(rig, peer, inFlight, plan);
      const isDefault = backend === DEFAULT_BACKEND;
      rows.push({
        id: `${backend} disk bytes per 100 B put, ${inFlight === 1 ? 'lone' : 'batches of 64'}`,
        measured: mine.settled,
        unit: 'B',
        target: isDefault ? { atMost: TARGET_BYTES[inFlight] } : undefined,
        detail:
          `while its files still grow ${Math.round(mine.growing)} B; ` +
          `raw library ${Math.round(theirs.settled)} B, growing ${Math.round(theirs.growing)} B`,
      });
    }
  }
  return rows;
}

interface BytesPerPut {
  /** In a new store: each append makes a file longer, which ext4's journal has to note. */
  readonly growing: number;
  /** Once the files have their size (SQLite's WAL is written over from its start), as in a store in use. */
  readonly settled: number;
}

async function bytesPerPut(
  rig: Rig,
  subject: Subject,
  inFlight: number,
  plan: Plan,
): Promise<BytesPerPut> {
  const load = new Load(1000, 100);
  await subject.fill(load);
  const puts = plan.lonePuts * Math.sqrt(inFlight);
  const measured = async (wanted: number): Promise<number> => {
    const before = blockStat(rig.device).writtenBytes;
    let done = 0;
    while (done < wanted) done += await subject.putFor(load, inFlight, SLICE_MS);
    return (blockStat(rig.device).writtenBytes - before) / done;
  };
  const growing = await measured(puts / 2);
  await measured(puts);
  const settled = await measured(puts * 2);
  await subject.close();
  return { growing, settled };
}
