/**
 * Goal: blkid's answers and exit codes are told apart, and a disk that never answers holds nobody up.
 * Method: a stand-in blkid on PATH that answers by the device's name (the real one runs in
 * ../registry.loop.test.ts).
 */
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { parseBlkidExport, PROBE_DEADLINE_MS, SuperblockProbe } from './blkid.ts';

const SCRIPT = `#!/bin/sh
[ "$*" = "-p -o export $4" ] || exit 99
case $4 in
  ext4) printf 'DEVNAME=/dev/x\\nLABEL=my\\\\ data\\\\$\\nUUID=0c5f\\nTYPE=ext4\\nUSAGE=filesystem\\n' ;;
  part) printf 'PART_ENTRY_UUID=AABB-01\\n' ;;
  hung) exec sleep 600 ;;
  *) exit "$4" ;;
esac
`;

let blkid: {
  blkidProbe: SuperblockProbe;
  parseBlkidExport: typeof parseBlkidExport;
  PROBE_DEADLINE_MS: typeof PROBE_DEADLINE_MS;
};

beforeAll(async () => {
  const bin = tempDir('blkid');
  plant(bin, { blkid: SCRIPT });
  chmodSync(path.join(bin, 'blkid'), 0o755);
  // Read when the module is loaded.
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
  blkid = await import('./blkid.ts');
});
afterEach(() => vi.useRealTimers());

describe('blkidProbe', () => {
  it('finds a file system, with what its label really is', async () => {
    expect(await blkid.blkidProbe('ext4')).toEqual({
      outcome: 'found',
      fsType: 'ext4',
      fsUuid: '0c5f',
      fsLabel: 'my data$',
    });
  });

  it('finds a partition without a file system', async () => {
    expect(await blkid.blkidProbe('part')).toEqual({ outcome: 'found', partUuid: 'aabb-01' });
  });

  it.each([
    ['2', 'nothing'],
    ['8', 'ambivalent'],
    ['4', 'failed'],
    ['127', 'failed'],
  ])('takes exit code %s for %s', async (code, outcome) => {
    expect(await blkid.blkidProbe(code)).toEqual({ outcome });
  });

  it('gives a disk that does not answer up after the deadline, and ends the process', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = blkid.blkidProbe('hung');
    vi.advanceTimersByTime(blkid.PROBE_DEADLINE_MS);
    const result = await answer;
    expect(result.outcome).toBe('late');
    // Resolves only when the kernel says that it is gone.
    if (result.outcome === 'late') await result.ended;
  });
});

describe('parseBlkidExport', () => {
  it('takes KEY=value lines, whatever else is there', () => {
    const values = blkid.parseBlkidExport(
      'TYPE=xfs\n\nno\n=x\nlower=1\nEMPTY=\nLABEL=a\\=b\\\\c\n',
    );
    expect(Object.fromEntries(values)).toEqual({ TYPE: 'xfs', LABEL: 'a=b\\c' });
  });
});
