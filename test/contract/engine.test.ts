/** Goal: every backend keeps the engine's contract, by the same suite with the same number of cases. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { BACKENDS, openEngine } from '../../src/engine/index.ts';
import { engineContract } from './engine.ts';
import { electionContract } from './elections.ts';
import { leaseContract } from './leases.ts';
import { lockContract } from './locks.ts';
import type { Clock } from '../../src/base/clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
let stores = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const backend of BACKENDS) {
  const open = (clock?: Clock) => {
    stores += 1;
    return openEngine({ backend, path: join(folder, `${stores}`), clock });
  };
  engineContract(backend, open);
  leaseContract(backend, open);
  lockContract(backend, open);
  electionContract(backend, open);
}
