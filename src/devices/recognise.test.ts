/**
 * Goal: a disk is known again when one of its names changed, and never taken for another one that looks like it.
 * Method: records and devices as the registry has them; each case is something that happens to real disks.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { disk } from '../../test/support/device.ts';
import type { Device, Fact, FactName } from './device.ts';
import { deviceId, placeOf } from './identity.ts';
import { recognise, votesFor } from './recognise.ts';

type Facts = Partial<Record<FactName, string>>;

const SATA: Facts = {
  serial: 'ZFN0ABCD',
  model: 'ST2000',
  size: '1000',
  wwid: 'naa.5000c500a1b2c3d4',
};

/** A device with the identity that its facts give it; of a record, the id may be an older one. */
function withFacts(facts: Facts, more: Partial<Device> = {}): Device {
  const identity = identityOf(facts);
  const list = Object.entries(facts).map(([name, value]): Fact => {
    return { name: name as FactName, value, source: 'sysfs', since: '2026-01-01T00:00:00.000Z' };
  });
  return disk({ identity, id: deviceId(identity), facts: list, ...more });
}

function identityOf({ wwid, serial, model, size }: Facts): Device['identity'] {
  if (wwid) return { scheme: 'scsi-wwid', value: `${wwid}|${serial}`, confidence: 'high' };
  if (serial) {
    return { scheme: 'serial', value: `${serial}|${model}|${size}`, confidence: 'medium' };
  }
  return placeOf('sda');
}

const idsOf = (known: Device[], seen: Device[]): string[] =>
  recognise(known, seen).map(({ id }) => id);

describe('the same disk', () => {
  it.each<[string, Facts, Facts]>([
    ['nothing changed', SATA, SATA],
    ['the kernel shows its wwid now', { ...SATA, wwid: undefined }, SATA],
    ['the kernel shows its wwid no more', SATA, { ...SATA, wwid: undefined }],
    ['its serial can not be read', SATA, { ...SATA, serial: undefined }],
    [
      'a virtual disk was enlarged',
      { serial: 'vol-1', size: '1000', 'content-uuid': 'u' },
      { serial: 'vol-1', size: '2000', 'content-uuid': 'u' },
    ],
    [
      'its firmware spells the model differently',
      { serial: 'ZFN0ABCD', model: 'ST2000', 'partition-table-uuid': 'p', size: '1' },
      { serial: 'ZFN0ABCD', model: 'ST2000 B', 'partition-table-uuid': 'p', size: '1' },
    ],
  ])('when %s', (_, was, is) => {
    const record = withFacts(was);
    expect(idsOf([record], [withFacts(is)])).toEqual([record.id]);
  });

  it('goes on under its first id when a later scan shows the identity it has by now', () => {
    const record = withFacts({ ...SATA, wwid: undefined });
    const renamed = { ...withFacts(SATA), id: record.id };
    expect(idsOf([renamed], [withFacts(SATA)])).toEqual([record.id]);
    expect(idsOf([renamed], [withFacts({ ...SATA, wwid: undefined })])).toEqual([record.id]);
  });
});

describe('another disk', () => {
  it.each<[string, Facts, Facts]>([
    ['of the same model and size', SATA, { ...SATA, serial: 'ZFN0ZZZZ', wwid: 'naa.5' }],
    [
      'that is a copy, to the last block',
      { ...SATA, 'partition-table-uuid': 'p', 'content-uuid': 'u' },
      {
        serial: 'OTHER1',
        model: 'X',
        size: '1000',
        'partition-table-uuid': 'p',
        'content-uuid': 'u',
      },
    ],
    [
      'that shares a junk serial',
      { serial: '0123456789ABCDE', wwid: 'naa.51', size: '1000' },
      { serial: '0123456789ABCDE', wwid: 'naa.52', size: '1000' },
    ],
    [
      'in a bridge that makes up the wwid and another model',
      { ...SATA, 'content-uuid': 'u' },
      { ...SATA, wwid: 't10.bridge', model: 'Bridge', 'content-uuid': 'u' },
    ],
    ['of which nothing is known', SATA, { size: '1000' }],
    [
      'that agrees only in what a copy has, too',
      { serial: 'ZFN0ABCD', 'partition-table-uuid': 'p', 'content-uuid': 'u' },
      { wwid: 'naa.51', 'partition-table-uuid': 'p', 'content-uuid': 'u' },
    ],
  ])('%s', (_, was, is) => {
    const record = withFacts(was);
    expect(idsOf([record], [withFacts(is)])).not.toContain(record.id);
  });

  it('of another kind, whatever it says', () => {
    expect(votesFor(withFacts(SATA), withFacts(SATA, { kind: 'dm' }))).toBe(0);
  });

  it('when two records are as near: neither is guessed', () => {
    const records = ['1000', '2000'].map((size) =>
      withFacts({ serial: 'vol-1', size, 'content-uuid': 'u' }),
    );
    const seen = withFacts({ serial: 'vol-1', size: '3000', 'content-uuid': 'u' });
    expect(idsOf(records, [seen])).toEqual([seen.id]);
  });

  it('than the one that is there under its own identity', () => {
    const record = withFacts(SATA);
    const twin = withFacts({ ...SATA, wwid: undefined });
    expect(idsOf([record], [withFacts(SATA), twin])).toEqual([record.id, twin.id]);
  });
});

it('an id that its first owner kept is not given to another: that one is quarantined', () => {
  const first = withFacts({ ...SATA, wwid: undefined });
  const owner = { ...withFacts(SATA), id: first.id };
  const [same, other] = recognise([owner], [withFacts(SATA), { ...first, name: 'sdb' }]);
  expect(same!.id).toBe(first.id);
  expect(other).toMatchObject({
    identity: { scheme: 'path', value: 'sdb' },
    quarantine: { id: first.id, names: ['sda', 'sdb'] },
  });
});

it('a place is nobody’s name: what was only known by it is not matched by facts', () => {
  const record = withFacts(SATA, { identity: placeOf('sdb'), id: 'path-sdb' });
  expect(idsOf([record], [withFacts(SATA)])).toEqual([withFacts(SATA).id]);
});

it('no record is given to two devices, whatever the facts', () => {
  const value = (values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
  const facts = fc.record({
    wwid: value(['naa.11', 'naa.12']),
    serial: value(['AAA1', 'AAA2', '0000']),
    model: value(['m1', 'm2']),
    size: fc.constantFrom('1', '2'),
    'content-uuid': value(['u1', 'u2']),
  });
  const seen = fc.uniqueArray(
    facts.map((one) => withFacts(one)),
    { selector: ({ id }) => id, maxLength: 6 },
  );
  const known = fc.uniqueArray(
    fc.tuple(facts, facts).map(([was, is]) => ({ ...withFacts(is), id: withFacts(was).id })),
    { selector: ({ id }) => id, maxLength: 6 },
  );
  expect(() =>
    fc.assert(
      fc.property(known, seen, (records, devices) => {
        // Each its own name, as the kernel gives them.
        const named = devices.map((device, index) => {
          const name = `sd${'abcdef'[index]}`;
          return device.identity.scheme === 'path'
            ? { ...device, name, identity: placeOf(name), id: deviceId(placeOf(name)) }
            : { ...device, name };
        });
        const ids = idsOf(records, named);
        return new Set(ids).size === ids.length && ids.length === named.length;
      }),
      { numRuns: 2000 },
    ),
  ).not.toThrow();
});
