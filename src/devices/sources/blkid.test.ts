/**
 * Goal: blkid's answers and exit codes are told apart, and a disk that never answers holds nobody up.
 * Method: a stand-in blkid and dd on PATH that answer by the device's name (the real ones run in
 * ../registry.loop.test.ts).
 */
import { chmodSync, existsSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { parseBlkidExport, PROBE_DEADLINE_MS, SuperblockProbe } from './blkid.ts';

const SCRIPT = `#!/bin/sh
[ "$*" = "-p -o export $4" ] || exit 99
case $4 in
  ext4) printf 'DEVNAME=/dev/x\\nLABEL=my\\\\ data\\\\$\\nUUID=0c5f\\nTYPE=ext4\\nUSAGE=filesystem\\n' ;;
  part | deadpart) printf 'PART_ENTRY_UUID=AABB-01\\n' ;;
  disk) printf 'PTUUID=ABCD-1\\nPTTYPE=gpt\\n' ;;
  member) printf 'UUID=array\\nUUID_SUB=one\\nTYPE=linux_raid_member\\n' ;;
  hung) touch "$0.waits"; exec sleep 600 ;;
  dead | empty | stuck) exit 2 ;;
  *) exit "$4" ;;
esac
`;
const DD_SCRIPT = `#!/bin/sh
[ "$*" = "$1 iflag=direct bs=4096 count=1 status=none" ] || exit 99
case $1 in
  if=2 | if=part) printf data ;;
  if=dead | if=deadpart) exit 1 ;;
  if=empty) exit 0 ;;
  if=stuck) touch "$0.waits"; exec sleep 600 ;;
esac
`;

let blkid: {
  blkidProbe: SuperblockProbe;
  parseBlkidExport: typeof parseBlkidExport;
  PROBE_DEADLINE_MS: typeof PROBE_DEADLINE_MS;
};

const bin = tempDir('blkid');

beforeAll(async () => {
  plant(bin, { blkid: SCRIPT, dd: DD_SCRIPT });
  for (const name of ['blkid', 'dd']) chmodSync(path.join(bin, name), 0o755);
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

  it('finds the partition table of a disk, and one member of several', async () => {
    expect(await blkid.blkidProbe('disk')).toEqual({
      outcome: 'found',
      partitionTable: 'gpt',
      partitionTableUuid: 'abcd-1',
    });
    expect(await blkid.blkidProbe('member')).toMatchObject({ fsUuid: 'array', fsUuidSub: 'one' });
  });

  it.each(['dead', 'empty'])(
    'believes no "nothing" of a disk that can not be read (%s)',
    async (name) => {
      expect(await blkid.blkidProbe(name)).toEqual({ outcome: 'unreadable' });
    },
  );

  it('believes no partition blank that can not be read, but keeps its name', async () => {
    const answer = { outcome: 'unreadable', partUuid: 'aabb-01' };
    expect(await blkid.blkidProbe('deadpart')).toEqual(answer);
  });

  it.each([
    ['2', 'nothing'],
    ['8', 'ambivalent'],
    ['4', 'failed'],
    ['127', 'failed'],
  ])('takes exit code %s for %s', async (code, outcome) => {
    expect(await blkid.blkidProbe(code)).toEqual({ outcome });
  });

  it.each([
    ['hung', 'blkid'],
    ['stuck', 'dd'],
  ])(
    'gives a disk up that does not answer, and ends the process (%s: %s)',
    async (name, command) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const answer = blkid.blkidProbe(name);
      // Each command has a deadline of its own.
      while (!existsSync(path.join(bin, `${command}.waits`))) await nextTurn();
      vi.advanceTimersByTime(blkid.PROBE_DEADLINE_MS);
      const result = await answer;
      expect(result.outcome).toBe('late');
      // Resolves only when the kernel says that it is gone.
      if (result.outcome === 'late') await result.ended;
    },
  );
});

describe('parseBlkidExport', () => {
  it('takes KEY=value lines, whatever else is there', () => {
    const values = blkid.parseBlkidExport(
      'TYPE=xfs\n\nno\n=x\nlower=1\nEMPTY=\nLABEL=a\\=b\\\\c\n',
    );
    expect(Object.fromEntries(values)).toEqual({ TYPE: 'xfs', LABEL: 'a=b\\c' });
  });
});
