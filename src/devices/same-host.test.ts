/**
 * Goal: a copied disk is never taken for the machine it was copied from, and a machine is known through
 * repairs and re-installations. The table is the specification.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostFingerprint } from './host.ts';
import { compareHosts, type HostComparison } from './same-host.ts';

const PC: HostFingerprint = {
  productUuid: 'uuid-1',
  boardSerial: 'board-1',
  macs: ['aa:00:00:00:00:01', 'aa:00:00:00:00:02'],
  rootDisk: 'scsi-wwid-1',
  machine: 'machine-1',
};
const OTHER_PC: HostFingerprint = {
  productUuid: 'uuid-2',
  boardSerial: 'board-2',
  macs: ['bb:00:00:00:00:01'],
  rootDisk: 'scsi-wwid-2',
  machine: 'machine-2',
};
/** Junk firmware, a disk without serial: a card's address is all that tells it from others. */
const VM: HostFingerprint = { macs: ['52:54:00:aa:bb:cc'], machine: 'machine-1' };
const NOTHING: HostFingerprint = { macs: [] };

type Row = [
  string,
  HostFingerprint,
  HostFingerprint,
  HostComparison['relation'],
  (keyof HostFingerprint)[],
];

const TABLE: Row[] = [
  ['the same machine', PC, PC, 'same', []],
  [
    'a cloned disk: the machine-id came along',
    PC,
    { ...OTHER_PC, machine: 'machine-1' },
    'another-host',
    ['productUuid', 'boardSerial', 'macs', 'rootDisk'],
  ],
  [
    'a copied state folder',
    PC,
    OTHER_PC,
    'another-host',
    ['productUuid', 'boardSerial', 'macs', 'rootDisk', 'machine'],
  ],
  [
    'the disk moved into another machine',
    PC,
    { ...OTHER_PC, rootDisk: PC.rootDisk, machine: PC.machine },
    'another-host',
    ['productUuid', 'boardSerial', 'macs'],
  ],
  ['the system installed anew', PC, { ...PC, machine: 'machine-2' }, 'same', ['machine']],
  [
    'a new disk, and the system installed on it',
    PC,
    { ...PC, rootDisk: 'scsi-wwid-2', machine: 'machine-2' },
    'parts-replaced',
    ['rootDisk', 'machine'],
  ],
  [
    'a new disk, the system copied to it',
    PC,
    { ...PC, rootDisk: 'scsi-wwid-2' },
    'parts-replaced',
    ['rootDisk'],
  ],
  [
    'all network cards replaced',
    PC,
    { ...PC, macs: ['cc:00:00:00:00:01'] },
    'parts-replaced',
    ['macs'],
  ],
  [
    'one network card of two replaced',
    PC,
    { ...PC, macs: [PC.macs[0]!, 'cc:00:00:00:00:01'] },
    'parts-replaced',
    ['macs'],
  ],
  ['a network card added', PC, { ...PC, macs: [...PC.macs, 'cc:00:00:00:00:01'] }, 'same', []],
  ['a network card taken out', PC, { ...PC, macs: [PC.macs[0]!] }, 'same', []],
  [
    'a new board',
    PC,
    { ...PC, productUuid: 'uuid-2', boardSerial: 'board-2' },
    'parts-replaced',
    ['productUuid', 'boardSerial'],
  ],
  [
    'a new board and its network card',
    PC,
    { ...PC, productUuid: 'uuid-2', boardSerial: 'board-2', macs: ['cc:00:00:00:00:01'] },
    'another-host',
    ['productUuid', 'boardSerial', 'macs'],
  ],
  [
    'blades with one UUID, a cloned disk',
    PC,
    { ...OTHER_PC, productUuid: PC.productUuid, machine: PC.machine },
    'another-host',
    ['boardSerial', 'macs', 'rootDisk'],
  ],
  [
    'half of it replaced, the system the same',
    PC,
    { ...PC, productUuid: 'uuid-2', macs: ['cc:00:00:00:00:01'] },
    'parts-replaced',
    ['productUuid', 'macs'],
  ],
  [
    'half of it replaced, and the system',
    PC,
    { ...PC, productUuid: 'uuid-2', macs: ['cc:00:00:00:00:01'], machine: 'machine-2' },
    'another-host',
    ['productUuid', 'macs', 'machine'],
  ],
  [
    'not root this time: no UUID, no serial',
    PC,
    { macs: PC.macs, rootDisk: PC.rootDisk, machine: PC.machine },
    'same',
    [],
  ],
  ['root this time', { macs: PC.macs }, PC, 'same', []],
  ['a plain VM', VM, VM, 'same', []],
  ['a plain VM, cloned', VM, { ...VM, macs: ['52:54:00:dd:ee:ff'] }, 'another-host', ['macs']],
  [
    'a plain VM, one card of two replaced',
    { macs: ['a', 'b'] },
    { macs: ['a', 'c'] },
    'parts-replaced',
    ['macs'],
  ],
  [
    'a plain VM, two cards of three replaced',
    { macs: ['a', 'b', 'c'] },
    { macs: ['a', 'd', 'e'] },
    'another-host',
    ['macs'],
  ],
  ['a plain VM, installed anew', VM, { ...VM, machine: 'machine-2' }, 'same', ['machine']],
  ['a plain VM in a network namespace without cards', VM, { ...VM, macs: [] }, 'same', []],
  [
    'a container made anew',
    { macs: [], machine: 'machine-1' },
    { macs: [], machine: 'machine-2' },
    'same',
    ['machine'],
  ],
  ['nothing known, before and now', NOTHING, NOTHING, 'unknown', []],
  ['nothing known any more', PC, NOTHING, 'unknown', []],
  ['nothing known before', NOTHING, PC, 'unknown', []],
  [
    'no fact on both sides',
    { macs: [], productUuid: 'uuid-1' },
    { macs: ['bb:00:00:00:00:01'] },
    'unknown',
    [],
  ],
];

describe('compareHosts', () => {
  it.each(TABLE)('%s', (_, before, now, relation, replaced) => {
    const comparison = compareHosts(before, now);
    expect(comparison).toMatchObject({ relation, replaced });
    // What was learnt from this comparison makes the next start an unchanged one.
    if (relation !== 'another-host') {
      const again = compareHosts(comparison.merged, now);
      expect(again.merged).toEqual(comparison.merged);
      expect(again.replaced).toEqual([]);
    }
  });

  it('keeps what it does not see now, and takes what it sees for the first time', () => {
    expect(compareHosts(PC, VM_LIKE_PC).merged).toEqual(PC);
    expect(compareHosts(VM_LIKE_PC, PC).merged).toEqual(PC);
  });

  it('knows a machine of which each part is replaced, one after the other', () => {
    let known = PC;
    for (const part of ['rootDisk', 'macs', 'boardSerial', 'productUuid', 'machine'] as const) {
      const { relation, merged } = compareHosts(known, { ...known, [part]: OTHER_PC[part] });
      expect(relation).not.toBe('another-host');
      known = merged;
    }
    expect(known).toEqual(OTHER_PC);
    expect(compareHosts(PC, OTHER_PC).relation).toBe('another-host');
  });

  it('never finds another host in mere absence', () => {
    const fact = fc.constantFrom('a', 'b');
    const fingerprint = fc
      .record(
        {
          productUuid: fact,
          boardSerial: fact,
          rootDisk: fact,
          machine: fact,
          macs: fc.uniqueArray(fact),
        },
        { requiredKeys: ['macs'] },
      )
      .map((one): HostFingerprint => one);
    expect(() =>
      fc.assert(
        fc.property(
          fingerprint,
          fc.subarray(['productUuid', 'boardSerial', 'rootDisk', 'machine', 'macs']),
          (before, lost) => {
            const now = {
              ...before,
              ...Object.fromEntries(lost.map((part) => [part, part === 'macs' ? [] : undefined])),
            };
            return ['same', 'unknown'].includes(compareHosts(before, now).relation);
          },
        ),
      ),
    ).not.toThrow();
  });
});

const VM_LIKE_PC: HostFingerprint = { macs: [PC.macs[0]!], machine: PC.machine! };
