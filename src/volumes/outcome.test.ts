/** Goal: a record says what became of an operation and what the kernel has, and an unchanged one stays the same to the byte. */
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../base/errors.ts';
import type { JournalEntry } from './journal.ts';
import { same } from './journal.ts';
import { reconciled, rolledBack, stuckAs, succeeded } from './outcome.ts';
import type { Attachment, Volume, VolumeStatus } from './volume.ts';

const AT = '2026-01-02T00:00:00.000Z';
const CONDITION = { code: 'Corrupt', message: 'x', since: '2026-01-01T00:00:00.000Z' };
const attachment: Attachment = {
  instanceId: 'i',
  driver: 'd',
  service: 's',
  deviceName: '/dev/loop3',
  bootId: 'b',
  attachedAt: AT,
};
/** In the order in which records are written. */
function volume(status: Partial<VolumeStatus> = {}, driver = 'loop'): Volume {
  const { attachments = [], condition, ...rest } = status;
  return {
    spec: { id: 'x', name: 'v', driver } as Volume['spec'],
    status: { phase: 'ready', ...rest, attachments, ...(condition ? { condition } : {}) },
  };
}
const entry = (kind: JournalEntry['kind'], before: Volume, attachments?: readonly Attachment[]) =>
  ({ kind, before, ...(attachments ? { attachments } : {}) }) as JournalEntry;

describe('succeeded', () => {
  test('mount: where, on which device, in which boot; what was wrong is over', () => {
    const before = volume({ condition: CONDITION });
    const found = { device: '/dev/loop3', mountPoint: '/m' };
    expect(succeeded(entry('mount', before), before, found, 'b')?.status).toEqual({
      phase: 'ready',
      device: '/dev/loop3',
      mountPoint: '/m',
      bootId: 'b',
      attachments: [],
    });
  });

  test('unmount: both gone, and the boot with them; a condition stays', () => {
    const before = volume({
      device: '/dev/loop3',
      mountPoint: '/m',
      bootId: 'b',
      condition: CONDITION,
    });
    const after = succeeded(
      entry('unmount', before),
      before,
      { device: null, mountPoint: null },
      'b',
    );
    expect(after?.status).toEqual({ phase: 'ready', attachments: [], condition: CONDITION });
  });

  test('attach: the device is filled in, with the boot that did it', () => {
    const asked = [{ ...attachment, deviceName: '', bootId: 'earlier' }];
    const after = succeeded(
      entry('attach', volume(), asked),
      volume(),
      { device: '/dev/loop3' },
      'b',
    );
    expect(after?.status.attachments).toEqual([attachment]);
  });

  test('a directory is named by an attachment, but is no device', () => {
    const dir = volume({}, 'dir');
    const asked = [{ ...attachment, deviceName: '' }];
    const after = succeeded(entry('attach', dir, asked), dir, { device: '/d/x' }, 'b');
    expect(after?.status).toMatchObject({ attachments: [{ deviceName: '/d/x' }] });
    expect(after?.status.device).toBeUndefined();
  });

  test('remove: nothing', () => {
    expect(succeeded(entry('remove', volume()), volume(), {}, 'b')).toBeUndefined();
  });
});

describe('rolledBack', () => {
  test('create: nothing; the rest as before, with what is wrong with the volume', () => {
    const error = new HoldfastError('Corrupt', 'bad');
    expect(rolledBack(entry('create', volume()), error, AT)).toBeUndefined();
    expect(rolledBack(entry('attach', volume()), error, AT)).toEqual(volume());
    const { status } = rolledBack(entry('mount', volume()), error, AT)!;
    expect(status.condition).toEqual({ code: 'Corrupt', message: 'bad', since: AT });
  });

  test.each(['Conflict', 'PermissionDenied', 'Cancelled'] as const)(
    '%s says nothing about the volume',
    (code) => {
      expect(rolledBack(entry('mount', volume()), new HoldfastError(code, 'x'), AT)).toEqual(
        volume(),
      );
    },
  );
});

test('stuckAs: only an unfinished create is a failed volume', () => {
  const error = new HoldfastError('HostFailed', 'x');
  expect(stuckAs(entry('create', volume()), volume(), error, AT).status.phase).toBe('failed');
  const removing = volume({ phase: 'removing' });
  expect(stuckAs(entry('remove', removing), removing, error, AT).status.phase).toBe('removing');
});

describe('reconciled', () => {
  const mounted = volume({
    device: '/dev/loop3',
    mountPoint: '/m',
    bootId: 'b',
    attachments: [attachment],
  });

  test('what the record says already changes nothing, to the byte', () => {
    const seen = { devices: ['/dev/loop2', '/dev/loop3'], mountPoint: '/m' };
    expect(same(reconciled(mounted, seen, 'b', AT), mounted)).toBe(true);
    expect(same(reconciled(volume(), { devices: [] }, 'b', AT), volume())).toBe(true);
  });

  test('what is gone is gone from the record, attachments with it', () => {
    expect(reconciled(mounted, { devices: [] }, 'b', AT).status).toEqual({
      phase: 'ready',
      attachments: [],
    });
  });

  test("another boot's device means nothing, even under the same name", () => {
    const { status } = reconciled(mounted, { devices: ['/dev/loop3'] }, 'next', AT);
    expect(status).toEqual({
      phase: 'ready',
      device: '/dev/loop3',
      bootId: 'next',
      attachments: [],
    });
  });

  test('a problem is noted once, and taken back when it is over', () => {
    const problem = { code: 'DataMissing', message: 'gone' } as const;
    const noted = reconciled(volume(), { devices: [], problem }, 'b', AT);
    expect(noted.status.condition).toEqual({ ...problem, since: AT });
    expect(same(reconciled(noted, { devices: [], problem }, 'b', 'later'), noted)).toBe(true);
    expect(reconciled(noted, { devices: [] }, 'b', 'later')).toEqual(volume());
  });

  test('what an operation found wrong is not taken back by a look from outside', () => {
    const corrupt = volume({ condition: CONDITION });
    expect(reconciled(corrupt, { devices: [] }, 'b', AT)).toEqual(corrupt);
  });
});
