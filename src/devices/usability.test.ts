/**
 * Goal: nothing that holds or may hold data is called free, and each reason is named.
 * Method: a disk that is free, and from it every single difference.
 */
import { describe, expect, it } from 'vitest';
import { disk } from '../../test/support/device.ts';
import type { Device } from './device.ts';
import { judge } from './usability.ts';

const codesAgainst = (facts: Partial<Device>, users: string[] = []): string[] =>
  judge(disk(facts), { users })
    .reasons.filter(({ against }) => against)
    .map(({ code }) => code);

describe('a disk that is here, known, writable, unused and without signature', () => {
  it('is free, with what speaks for it', () => {
    const { free, reasons } = judge(disk());
    expect(free).toBe(true);
    expect(reasons.map(({ code, against }) => [code, against])).toEqual([
      ['identity', false],
      ['unused', false],
      ['no-signature', false],
    ]);
    expect(reasons[0]!.message).toContain('scsi-wwid naa.1|S1 (confidence high)');
  });
});

describe('it is not free when', () => {
  const path = { scheme: 'path', value: 'sda', confidence: 'none' } as const;
  it.each<[string, Partial<Device>, string[]]>([
    ['only its place is known', { identity: path }, ['no-identity']],
    [
      'another one claims its identity',
      { identity: path, quarantine: { id: 'x', names: ['sda', 'sdb'] } },
      ['quarantined'],
    ],
    [
      'it is a path to a multipath disk',
      { identity: path, legOf: 'dm-0', holders: ['dm-0'] },
      ['leg'],
    ],
    ['it is an optical drive', { kind: 'rom' }, ['kind']],
    ['it is compressed memory', { kind: 'zram' }, ['kind']],
    ['its size is 0', { sizeBytes: 0 }, ['empty']],
    ['its size is 0 and nobody could read it', { sizeBytes: 0, content: 'unread' }, ['empty']],
    ['it is read-only', { readOnly: true }, ['read-only']],
    ['it is mounted', { mountPoints: ['/srv'] }, ['mounted']],
    ['the kernel swaps to it', { swap: true }, ['swap']],
    ['something stands on it', { holders: ['dm-0'] }, ['held']],
    ['it has partitions', { children: ['sda1'] }, ['partitioned']],
    [
      'it has a file system',
      { content: 'found', fileSystem: { type: 'xfs', label: 'old' } },
      ['content'],
    ],
    ['it has a partition table only', { content: 'found', partitionTable: 'gpt' }, ['content']],
    ['its signatures contradict each other', { content: 'ambivalent' }, ['content']],
    ['it can not be read', { content: 'unreadable' }, ['content-unknown']],
    ['nobody could read it yet', { content: 'unread' }, ['content-unknown']],
  ])('%s', (_, facts, codes) => {
    expect(codesAgainst(facts)).toEqual(codes);
    expect(judge(disk(facts)).free).toBe(false);
  });

  it('a volume is on it', () => {
    expect(judge(disk(), { users: ['volume "data1"'] })).toMatchObject({
      free: false,
      reasons: [{ code: 'in-use', message: 'volume "data1" uses it' }, { code: 'identity' }, {}],
    });
  });
});

it('a claim speaks against it, also while it is gone', () => {
  const codes = (facts: Partial<Device>) =>
    judge(disk(facts), { owner: 'me' })
      .reasons.filter(({ against }) => against)
      .map(({ code }) => code);
  expect(codes({})).toEqual(['claimed']);
  expect(codes({ present: false })).toEqual(['absent', 'claimed']);
});

it('of one that is gone says only that, whatever was on it', () => {
  const was = { present: false, content: 'found', fileSystem: { type: 'ext4' } } as const;
  expect(codesAgainst({ ...was, readOnly: true })).toEqual(['absent']);
});

it('names every reason, not the first alone', () => {
  const facts = { readOnly: true, mountPoints: ['/a', '/b', '/c', '/d'], swap: true } as const;
  expect(codesAgainst(facts)).toEqual(['read-only', 'mounted', 'swap']);
  const mounted = judge(disk(facts)).reasons.find(({ code }) => code === 'mounted')!;
  expect(mounted.message).toBe('it is mounted at /a, /b, /c and 1 more');
});

it.each([
  ['LVM2_member', 'a physical volume of LVM'],
  ['crypto_LUKS', 'encrypted with LUKS'],
  ['linux_raid_member', 'a member of a RAID'],
  ['swap', 'formatted as swap'],
  ['ext4', 'a file system, ext4'],
])('says what %s is', (type, words) => {
  const { reasons } = judge(disk({ content: 'found', fileSystem: { type } }));
  expect(reasons[0]!.message).toContain(words);
});
