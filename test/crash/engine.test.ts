/**
 * Goal: SIGKILL at any moment leaves a store that holds every acknowledged write and every lease, nothing
 * half written, never hands out a revision again, and a watch that goes on where it ended sees each revision
 * once: a phantom yes, a hole no.
 * Method: real processes (kills.ts), a sample of `npm run test:crash`. The control, a writer that
 * acknowledges too early, has to lose.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { killEngine, type KillTotals } from './kills.ts';
import { checkStore, WriterProcess } from './processes.ts';
import { Random } from './random.ts';

const CYCLES = 6;
const CONTROL_CYCLES = 4;
/** Node's start takes about 100 ms, the making of a store a few: kills land before, in and after it. */
const KILL_AT_START_MS_MAX = 200;
const ROUNDS = 6;

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test('killed while writing, compacting and being backed up', async () => {
    const folder = tempDir('crash');
    const goesOn = ({ cycles }: KillTotals): boolean => cycles < CYCLES;
    const totals = await killEngine({ backend, folder, seed: 1, goesOn });
    expect(totals).toMatchObject({ cycles: CYCLES, lost: 0, broken: 0, messages: [] });
    expect(totals.acknowledged).toBeGreaterThan(CYCLES);
    expect(totals.seen).toBeGreaterThan(CYCLES);
    expect(totals.leases).toBeGreaterThan(0);
    expect(totals.backups).toBeGreaterThan(0);
    expect(totals.compacted).toBeGreaterThan(0);
  }, 180_000);

  test('the control: acknowledged before it is written', async () => {
    const folder = tempDir('crash');
    const goesOn = ({ cycles }: KillTotals): boolean => cycles < CONTROL_CYCLES;
    const totals = await killEngine({ backend, folder, seed: 1, goesOn, early: true });
    expect(totals.lost).toBeGreaterThan(0);
  }, 120_000);

  test('killed while the store is made', async () => {
    const folder = tempDir('crash');
    const random = new Random(3);
    for (let round = 0; round < ROUNDS; round += 1) {
      const store = { backend, path: path.join(folder, `engine-${round}`) };
      const writer = await WriterProcess.spawn({ ...store, seed: round, epoch: '0' });
      await sleep(random.below(KILL_AT_START_MS_MAX));
      await writer.kill();
      const { account } = writer;
      const listFile = path.join(folder, 'account');
      const report = await checkStore({ ...store, account, listFile, epoch: '1' });
      expect(report).toMatchObject({ lost: 0, broken: 0, messages: [] });
    }
  }, 120_000);
});
