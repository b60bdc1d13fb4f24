/** The engine against its own library on the same disk: put, get, list, compare-and-swap. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Load } from './load.ts';
import { inTurns } from './measure.ts';
import { ratioRow, type Row } from './row.ts';
import { callers, EngineSubject, openPeer, type BackendName, type Subject } from './subject.ts';
import type { Plan } from './plan.ts';

/** Issue 3, "Targets": in flight -> at least this share of the raw library, 100 B and 1 KiB. */
const PUT_TARGETS = {
  sqlite: { 1: [0.5, 0.5], 64: [0.55, 0.55], 1000: [0.5, 0.45] },
  lmdb: { 1: [0.8, 0.8], 64: [0.55, 0.55], 1000: [0.5, 0.45] },
} as const;
const GET_TARGET = 0.7;
const LIST_TARGET = 0.6;
const CAS_TARGET = 0.9;
const IN_FLIGHT = [1, 64, 1000] as const;
export const VALUE_BYTES = [100, 1024] as const;
/** A list takes longer than a slice: so many of it are compared. */
const LIST_ROUNDS = 5;

export async function againstPeer(
  backend: BackendName,
  folder: string,
  plan: Plan,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [i, valueBytes] of VALUE_BYTES.entries()) {
    const size = valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`;
    await using pair = await openPair(backend, path.join(folder, `kv-${valueBytes}`));
    const load = new Load(plan.keys, valueBytes);
    await pair.fill(load);
    for (const inFlight of IN_FLIGHT) {
      const found = await inTurns(
        plan.rounds,
        plan.sliceMs,
        (ms) => pair.ours.putFor(load, inFlight, ms),
        (ms) => pair.peer.putFor(load, inFlight, ms),
      );
      const target = PUT_TARGETS[backend][inFlight][i]!;
      rows.push(ratioRow(backend, `put ${inFlight} in flight, ${size}`, target, found));
    }
    const gets = await inTurns(
      plan.rounds,
      plan.sliceMs / 2,
      (ms) => pair.ours.getFor(load, ms),
      (ms) => pair.peer.getFor(load, ms),
    );
    rows.push(ratioRow(backend, `get, ${size}`, GET_TARGET, gets));
    rows.push(await compareAndSwap(backend, pair.ours, load, size, plan));
    rows.push(await list(backend, path.join(folder, `list-${valueBytes}`), valueBytes, plan));
  }
  return rows;
}

/** 1000 callers, each with a key of its own, against the same callers putting without a condition. */
async function compareAndSwap(
  backend: BackendName,
  { engine }: EngineSubject,
  load: Load,
  size: string,
  plan: Plan,
): Promise<Row> {
  const keys = load.keys.slice(0, 1000);
  const revisions = new Map<string, number>();
  for (const key of keys) revisions.set(key, (await engine.get(key))?.modRevision ?? 0);
  const write = async (ms: number, swap: boolean): Promise<number> => {
    const free = [...keys];
    return callers(keys.length, ms, async () => {
      const key = free.pop()!;
      const options = swap ? { ifRevision: revisions.get(key) } : {};
      revisions.set(key, await engine.put(key, load.next().value, options));
      free.push(key);
    });
  };
  const found = await inTurns(
    plan.rounds,
    plan.sliceMs,
    (ms) => write(ms, true),
    (ms) => write(ms, false),
  );
  return ratioRow(backend, `compare-and-swap 1000 in flight, ${size}`, CAS_TARGET, found);
}

async function list(
  backend: BackendName,
  folder: string,
  valueBytes: number,
  plan: Plan,
): Promise<Row> {
  await using pair = await openPair(backend, folder);
  await pair.fill(new Load(plan.listKeys, valueBytes));
  const once = async (subject: Subject): Promise<number> => {
    const found = await subject.list();
    if (found !== plan.listKeys) throw new Error(`listed ${found} keys of ${plan.listKeys}`);
    return 1;
  };
  const rounds = Math.min(plan.rounds, LIST_ROUNDS);
  const found = await inTurns(
    rounds,
    0,
    () => once(pair.ours),
    () => once(pair.peer),
  );
  const size = valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`;
  return ratioRow(backend, `list ${plan.listKeys / 1000}k keys, ${size}`, LIST_TARGET, found);
}

async function openPair(backend: BackendName, folder: string) {
  const [mine, theirs] = ['ours', 'peer'].map((name) => path.join(folder, name));
  mkdirSync(theirs!, { recursive: true });
  const ours = await EngineSubject.open(backend, mine!);
  const peer = openPeer(backend, theirs!);
  return {
    ours,
    peer,
    fill: async (load: Load): Promise<void> => {
      await ours.fill(load);
      await peer.fill(load);
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await ours.close();
      await peer.close();
    },
  };
}
