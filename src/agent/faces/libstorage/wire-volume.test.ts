/**
 * Goal: the attachments mask shows what the reference's `handleVolAttachments` shows, but for one
 * thing: a volume that another instance has is never offered as available.
 */
import { describe, expect, test } from 'vitest';
import { GiB } from '../../../base/bytes.ts';
import type { Attachment, Volume } from '../../../volumes/index.ts';
import { attachmentState, maskedVolume, wireVolume } from './wire-volume.ts';

const attachment = (instanceId: string): Attachment => ({
  instanceId,
  driver: 'vfs',
  service: '',
  deviceName: '/dev/loop3',
  bootId: 'boot',
  attachedAt: '2026-01-01T00:00:00.000Z',
});

const volume = (...attachments: Attachment[]): Volume => ({
  spec: {
    id: '0199a000-0000-7000-8000-000000000001',
    name: 'data',
    service: 'local',
    driver: 'dir',
    sizeBytes: 2 * GiB,
    mountAtBoot: false,
    fields: {},
    createdAt: '2026-01-01T00:00:00.000Z',
  },
  status: { phase: 'ready', attachments },
});

type Shown = { attachmentState?: number; attachments?: { instanceID: { id: string } }[] };

/** `state:whose attachments`, or `-` when the mask drops it. */
function shown(one: Volume, mask: number, asker?: string): string {
  const wire: Shown | undefined = maskedVolume(one, mask, asker);
  if (wire === undefined) return '-';
  const ids = (wire.attachments ?? []).map(({ instanceID }) => instanceID.id);
  return `${wire.attachmentState ?? 'none'}:${ids.join(',')}`;
}

describe('masks', () => {
  const free = volume();
  const mine = volume(attachment('me'));
  const others = volume(attachment('other'));
  const both = volume(attachment('other'), attachment('ME'));
  test.for([
    // mask, free, mine, another's, of both
    [0, 'none:', 'none:', 'none:', 'none:'],
    [1, '3:', '2:me', '4:other', '2:other,ME'],
    [3, '3:', '2:me', '4:', '2:ME'],
    [5, '3:', '2:me', '4:other', '2:other,ME'],
    [7, '3:', '2:me', '4:', '2:ME'],
    [8, '-', '2:me', '4:other', '2:other,ME'],
    [9, '-', '2:me', '4:other', '2:other,ME'],
    [10, '-', '2:me', '-', '2:ME'],
    [11, '-', '2:me', '-', '2:ME'],
    [15, '-', '2:me', '-', '2:ME'],
    [16, '3:', '-', '-', '-'],
    [17, '3:', '-', '-', '-'],
    [19, '3:', '-', '-', '-'],
    [25, '3:', '2:me', '4:other', '2:other,ME'],
    [27, '3:', '2:me', '-', '2:ME'],
    [31, '3:', '2:me', '-', '2:ME'],
  ] as const)('mask %i', ([mask, ...expected]) => {
    expect([free, mine, others, both].map((one) => shown(one, mask, 'me'))).toEqual(expected);
  });

  test('whoever does not say who they are has nothing attached', () => {
    expect([free, mine].map((one) => shown(one, 1))).toEqual(['3:', '4:me']);
    expect(attachmentState([attachment('')], undefined)).toBe(4);
  });
});

test('zero values are left out, and members stand in the order of the reference', () => {
  const { spec, status } = volume(attachment('me'));
  const full: Volume = {
    spec: {
      ...spec,
      availabilityZone: 'az1',
      iops: 100,
      type: 'gold',
      fields: { owner: 'root' },
      sizeBytes: 1.5 * GiB,
    },
    status: { ...status, phase: 'creating' },
  };
  expect(JSON.stringify(wireVolume(full, { attachments: status.attachments, state: 2 }))).toBe(
    '{"attachments":[{"deviceName":"/dev/loop3","instanceID":{"id":"me","driver":"vfs","service":""},' +
      '"status":"attached","volumeID":"0199a000-0000-7000-8000-000000000001"}],"attachmentState":2,' +
      '"availabilityZone":"az1","iops":100,"name":"data","size":2,"status":"creating",' +
      '"id":"0199a000-0000-7000-8000-000000000001","type":"gold","fields":{"owner":"root"}}',
  );
  expect(JSON.stringify(wireVolume({ spec: { ...spec, sizeBytes: 0 }, status }, {}))).toBe(
    '{"name":"data","id":"0199a000-0000-7000-8000-000000000001","type":""}',
  );
});
