/**
 * Goal: SIGKILL before and after each commit, and at each system call by which it is written and synced,
 * leaves what was acknowledged and nothing half done. A sample of `npm run test:crash`, which takes all
 * phases and several calls of each kind.
 */
import { describe, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { killBackups } from './backup-steps.ts';
import { killAtEveryStep } from './steps.ts';

const PHASES = ['make', 'burst', 'revoke', 'compact', 'open', 'rewrite', 'close'] as const;

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test('killed at every step', async () => {
    const folder = tempDir('steps');
    const options = { backend, folder, phases: PHASES, killsPerStep: 1 };
    const totals = await killAtEveryStep(options);
    expect(totals).toMatchObject({ lost: 0, broken: 0, messages: [] });
    expect([...totals.hits].filter(([, hits]) => hits === 0)).toEqual([]);
    expect(totals.hits.size).toBeGreaterThan(20);
    expect(totals.acknowledged).toBeGreaterThan(totals.kills);
  }, 240_000);

  test('a backup killed at every step', async () => {
    const totals = await killBackups({ backend, folder: tempDir('steps'), killsPerStep: 1 });
    expect(totals).toMatchObject({ lost: 0, broken: 0, messages: [] });
    expect([...totals.hits].filter(([, hits]) => hits === 0)).toEqual([]);
    expect(totals.hits.size).toBeGreaterThan(8);
  }, 240_000);
});
