/**
 * Goal: SIGKILL at any moment leaves a store that holds every acknowledged write, nothing half written,
 * and never hands out a revision again: a phantom yes, a hole no.
 * Method: real processes. A writer is killed at a random moment; another process opens the store, holds it
 * against the list of acknowledgements, writes on and closes; then the next writer goes on.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { checkStore, WriterProcess } from './processes.ts';
import { Random } from './random.ts';
import type { Ack } from './workload.ts';

const ROUNDS = 6;
const ACKS_BEFORE_KILL_MAX = 1200;
/** Node's start takes about 100 ms, the making of a store a few: kills land before, in and after it. */
const KILL_AT_START_MS_MAX = 200;

const lastRevision = (acks: readonly Ack[]): number =>
  acks.reduce((max, ack) => Math.max(max, ack.revision), 0);

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test.each([
    ['while writing', false],
    ['while writing and compacting', true],
  ])('killed %s', async (_, compacts) => {
    const folder = tempDir('crash');
    const store = { backend, path: path.join(folder, 'engine') };
    const random = new Random(compacts ? 2 : 1);
    const acks: Ack[] = [];
    let compacted = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const writer = await WriterProcess.start({
        ...store,
        compacts,
        epoch: `${round}`,
        after: lastRevision(acks),
        seed: random.below(2 ** 31),
      });
      try {
        await writer.acknowledged(writer.acks.length + 1 + random.below(ACKS_BEFORE_KILL_MAX));
      } finally {
        await writer.kill();
      }
      acks.push(...writer.acks);
      const listFile = path.join(folder, 'acks');
      const report = await checkStore({ ...store, acks, listFile, epoch: `${round}` });
      expect(report).toMatchObject({ lost: 0, broken: 0, messages: [] });
      expect(report.acks.map((ack) => ack.revision)).toEqual(
        [1, 2, 3].map((next) => report.revision + next),
      );
      acks.push(...report.acks);
      compacted = report.compacted;
    }
    expect(new Set(acks.map((ack) => ack.revision)).size).toBe(acks.length);
    expect(compacted > 0).toBe(compacts);
  });

  test('killed while the store is made', async () => {
    const folder = tempDir('crash');
    const random = new Random(3);
    for (let round = 0; round < ROUNDS; round += 1) {
      const store = { backend, path: path.join(folder, `engine-${round}`) };
      const options = { ...store, seed: round, epoch: '0', after: 0 };
      const writer = await WriterProcess.spawn(options);
      await sleep(random.below(KILL_AT_START_MS_MAX));
      await writer.kill();
      const listFile = path.join(folder, 'acks');
      const report = await checkStore({ ...store, acks: writer.acks, listFile, epoch: '1' });
      expect(report).toMatchObject({ lost: 0, broken: 0, messages: [] });
    }
  });
});
