/**
 * Goal: `kv check` calls a large store and a killed process's one whole, in bounded memory and saying how far
 * it is, and no damage is silent. A small sample of `npm run show:kv-check`.
 */
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { fillStore, runCheck } from './check-run.ts';
import { damageStore, makeKilledStore } from './damage-run.ts';

const KEYS = 50_000;
const PLACES = 20;
/** Two Node processes at rest take about half of it. */
const MEMORY_BYTES_MAX = 160 * MiB;

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test('a large store', async () => {
    const store = path.join(tempDir('large'), 'engine');
    await fillStore(backend, store, KEYS);
    const run = await runCheck(store);
    expect(run).toMatchObject({ code: 0, report: { errors: 0, warnings: 0, keys: KEYS } });
    expect(run.progress.slice(0, 2)).toEqual(['copying the store', 'checking its files']);
    expect(run.peakBytes).toBeLessThan(MEMORY_BYTES_MAX);
  });

  test(`what a killed process left, damaged at ${PLACES} places`, async () => {
    const folder = tempDir('damages');
    const store = path.join(folder, 'engine');
    const account = await makeKilledStore(backend, store, folder);
    expect((await runCheck(store)).report).toMatchObject({ errors: 0 });
    const of = { backend, store, account, folder, places: PLACES, seed: 3 };
    const totals = await damageStore(of);
    expect(totals).toMatchObject({ places: PLACES, silent: [] });
    expect(totals.found).toBeGreaterThan(PLACES / 4);
  }, 240_000);
});
