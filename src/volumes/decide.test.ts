/** Goal: a verb comes to nothing when it is so already, refuses what would lose data, and takes only what nobody else needs. */
import { describe, expect, test } from 'vitest';
import {
  decideAttach,
  decideDetach,
  decideMount,
  decideRemove,
  decideUnmount,
  type Decide,
} from './decide.ts';
import type { Observation } from './drivers/driver.ts';
import type { Attachment, Volume } from './volume.ts';

const ME = { id: 'Client-1', driver: 'd', service: 's' };
const OTHER = { id: 'client-2', driver: 'd', service: 's' };
const NOW = { bootId: 'b', attachedAt: '2026-01-02T00:00:00.000Z' };
const attachment = (instanceId: string, deviceName = '/dev/loop3'): Attachment => ({
  instanceId,
  deviceName,
  driver: 'd',
  service: 's',
  bootId: 'b',
  attachedAt: '2026-01-01T00:00:00.000Z',
});

const RESTING: Observation = { path: '/i/x.img', present: true, devices: [], otherMounts: [] };
const ATTACHED: Observation = { ...RESTING, devices: ['/dev/loop3'] };
const MOUNTED: Observation = { ...ATTACHED, mountPoint: '/m/x/data' };
const MOUNTED_BY_OTHERS: Observation = { ...ATTACHED, otherMounts: ['/mnt'] };

function decision(decide: Decide, seen: Observation, ...attachments: Attachment[]) {
  const spec = { name: 'v' } as Volume['spec'];
  return decide({ spec, status: { phase: 'ready', attachments } }, seen);
}
const conflict = (words: RegExp) =>
  expect.objectContaining({ code: 'Conflict', message: expect.stringMatching(words) as string });

describe('mount and unmount', () => {
  test('come to nothing when it is so already', () => {
    expect(decision(decideMount, MOUNTED)).toBe('nothing');
    expect(decision(decideUnmount, RESTING)).toBe('nothing');
    expect(decision(decideUnmount, ATTACHED, attachment('client-1'))).toBe('nothing');
  });

  test('unmounting lets a device go that nobody needs', () => {
    expect(decision(decideUnmount, ATTACHED)).toMatchObject({ facts: { attached: true } });
    expect(decision(decideUnmount, MOUNTED)).toMatchObject({ facts: { mounted: false } });
  });
});

describe('a mounted or attached image that was deleted', () => {
  const lastCopy = { ...MOUNTED, present: false };

  test('is not unmounted: the kernel would let the last copy go', () => {
    expect(() => decision(decideUnmount, lastCopy)).toThrow(conflict(/last copy/));
  });

  test('is not detached either, unless forced; its mount keeps it', () => {
    const held = { ...ATTACHED, present: false };
    const mine = attachment('client-1');
    expect(() => decision(decideDetach(ME, false), held, mine)).toThrow(conflict(/last copy/));
    expect(decision(decideDetach(ME, true), held, mine)).toMatchObject({ attachments: [] });
    expect(decision(decideDetach(ME, false), lastCopy, mine)).toMatchObject({ attachments: [] });
  });
});

describe('attach', () => {
  const attach = (force = false) => decideAttach(ME, force, NOW);
  test('a second time by the same instance, in any case, is nothing', () => {
    expect(decision(attach(), ATTACHED, attachment('CLIENT-1'))).toBe('nothing');
  });

  test('again, when the device it had is gone', () => {
    expect(decision(attach(), RESTING, attachment('client-1'))).toMatchObject({
      attachments: [{ instanceId: 'Client-1', deviceName: '', attachedAt: NOW.attachedAt }],
    });
  });

  test('is refused while another has it, unless forced; then it is taken away', () => {
    expect(() => decision(attach(), ATTACHED, attachment('client-2'))).toThrow(
      conflict(/client-2/),
    );
    const forced = decision(attach(true), ATTACHED, attachment('client-2'), attachment('client-1'));
    expect(forced).toMatchObject({ attachments: [{ instanceId: 'client-1' }] });
  });

  test('a directory has no device that could be gone', () => {
    expect(decision(attach(), RESTING, attachment('client-1', RESTING.path))).toBe('nothing');
  });
});

describe('detach', () => {
  test('of what is not attached is nothing', () => {
    expect(decision(decideDetach(undefined, false), RESTING)).toBe('nothing');
    expect(decision(decideDetach(OTHER, false), ATTACHED, attachment('client-1'))).toBe('nothing');
  });

  test('without an instance takes all attachments', () => {
    const all = decision(decideDetach(undefined, false), ATTACHED, attachment('client-1'));
    expect(all).toMatchObject({ attachments: [], facts: { attachmentsAfter: 0 } });
  });

  test('is refused while others have it mounted; with force only the attachment goes', () => {
    const args = [MOUNTED_BY_OTHERS, attachment('client-1')] as const;
    expect(() => decision(decideDetach(ME, false), ...args)).toThrow(conflict(/\/mnt/));
    // mounted: the planner must not take the device away.
    expect(decision(decideDetach(ME, true), ...args)).toMatchObject({
      attachments: [],
      facts: { mounted: true },
    });
  });
});

test('detach of what we have mounted ourselves is not held up by copies of our mount elsewhere', () => {
  const copied: Observation = { ...MOUNTED, otherMounts: ['/m/x/data'] };
  expect(decision(decideDetach(undefined, false), copied, attachment('client-1'))).toMatchObject({
    attachments: [],
    facts: { mounted: true },
  });
});

describe('remove', () => {
  test.each([
    [MOUNTED, /\/m\/x\/data/],
    [MOUNTED_BY_OTHERS, /\/mnt/],
  ])('is refused while mounted anywhere, even with force', (seen, words) => {
    expect(() => decision(decideRemove(true), seen)).toThrow(conflict(words));
  });

  test('is refused while attached, and when the data is not there, unless forced', () => {
    const absent = { ...RESTING, present: false };
    expect(() => decision(decideRemove(false), ATTACHED, attachment('c'))).toThrow(
      conflict(/to c;/),
    );
    expect(() => decision(decideRemove(false), absent)).toThrow(conflict(/not at \/i\/x\.img/));
    expect(decision(decideRemove(true), ATTACHED, attachment('c'))).toMatchObject({
      facts: { attached: true, attachmentsAfter: 0 },
    });
    expect(decision(decideRemove(true), absent)).not.toBe('nothing');
  });
});
