/** Goal: with no network at all the agent is ready, serves its boot volumes, and idle means idle (a sample of `npm run test:idle`). */
import { describe, expect, it } from 'vitest';
import { runIdle, type IdleResult } from './idle.ts';
import { faultsOf } from './faults.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('no network (needs root: namespaces, loop devices)', () => {
  it('is ready, mounts at boot, serves, and writes nothing over three scans', async () => {
    const result = await runIdle({ idleSeconds: 17, rescanSeconds: 5 });
    expect(faultsOf(result)).toEqual([]);
  }, 360_000);
});

it('names each fault', () => {
  const sick: IdleResult = {
    interfaces: ['lo', 'eth0'],
    ready: false,
    mounted: 1,
    syncState: 'current',
    served: false,
    revisions: 1,
    bytesWritten: 512,
    bytesOfOnePut: 0,
    events: ['volume.created: x'],
  };
  expect(faultsOf(sick)).toHaveLength(8);
});
