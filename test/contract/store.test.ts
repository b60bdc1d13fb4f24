/** Goal: every store keeps the Store contract, by the same suite; the embedded ones with the same number of cases. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { BACKENDS, LocalStore, openEngine } from '../../src/engine/index.ts';
import { storeContract } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
const supports = { ttl: true, lock: true, everyChange: true };
let stores = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const backend of BACKENDS) {
  const open = async () => {
    stores += 1;
    return new LocalStore(await openEngine({ backend, path: join(folder, `${stores}`) }));
  };
  storeContract(backend, open, supports);
}
