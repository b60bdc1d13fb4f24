/**
 * Goal: a power cut takes of relaxed writes only the last ones, none that is older than its time, none before
 * a write that was synced, and no revision that was handed out comes again.
 * Method: real cuts (rig.ts) under a writer that counts up, mostly relaxed. The control, whose sync is a
 * minute off, has to lose.
 */
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRoot } from '../../native/scratch.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { Rig } from './rig.ts';

const CUTS = 3;
/** The cut comes after as many writes. */
const WRITES = 500;
const RELAXED_MS = 50;
const COMMIT_EVERY = 200;

interface Answer {
  readonly count: number;
  readonly revision: number;
  readonly atMs: number;
  readonly synced: boolean;
}

/** What a cut after WRITES left of a store that counts up at one key; `answers` are those from before it. */
async function cutWhileCounting(
  rig: Rig,
  name: string,
  relaxedMs: number,
): Promise<{ answers: Answer[]; cutAtMs: number; found: number; revision: number }> {
  const answers: Answer[] = [];
  const stop = new AbortController();
  const engine = await openEngine({ backend: 'sqlite', path: path.join(rig.folder, name) });
  const counting = countUp(engine, relaxedMs, answers, stop.signal);
  try {
    while (answers.length < WRITES) await nextTurn();
    const cutAtMs = performance.now();
    await using disk = await rig.cut();
    const after = await openEngine({ backend: 'sqlite', path: path.join(disk.folder, name) });
    try {
      const kv = await after.get('count');
      const found = Number(Buffer.from(kv?.value ?? []).toString());
      const before = answers.filter(({ atMs }) => atMs < cutAtMs);
      return { answers: before, cutAtMs, found, revision: after.revision };
    } finally {
      await after.close();
    }
  } finally {
    stop.abort();
    await counting;
    await engine.close();
  }
}

async function countUp(
  engine: Engine,
  relaxedMs: number,
  answers: Answer[],
  stop: AbortSignal,
): Promise<void> {
  for (let count = 1; !stop.aborted; count += 1) {
    const synced = relaxedMs === RELAXED_MS && count % COMMIT_EVERY === 0;
    const durability = synced ? 'commit' : { relaxedMs };
    const revision = await engine.put('count', Buffer.from(`${count}`), { durability });
    answers.push({ count, revision, atMs: performance.now(), synced });
  }
}

describe.runIf(isRoot)('power cuts under relaxed writes (need root)', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.create();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  test('take the last ones only', async () => {
    for (let cut = 0; cut < CUTS; cut += 1) {
      const { answers, cutAtMs, found, revision } = await cutWhileCounting(
        rig,
        `store-${cut}`,
        RELAXED_MS,
      );
      const synced = answers.filter((answer) => answer.synced).at(-1)!;
      expect(found).toBeGreaterThanOrEqual(synced.count);
      // The timer and its sync take time, the more on a loaded machine.
      const due = answers.filter(({ atMs }) => atMs < cutAtMs - 10 * RELAXED_MS).at(-1);
      expect(found).toBeGreaterThanOrEqual(due?.count ?? 0);
      expect(revision).toBeGreaterThan(answers.at(-1)!.revision);
    }
  });

  test('take many, when the sync is far off: the control', async () => {
    const { answers, found, revision } = await cutWhileCounting(rig, 'control', 60_000);
    expect(found).toBeLessThan(answers.length / 2);
    expect(revision).toBeGreaterThan(answers.at(-1)!.revision);
  });
});
