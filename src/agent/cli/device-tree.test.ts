/** Goal: a stack of devices is shown whole, each once, in 80 columns, however damaged what the kernel shows is. */
import { describe, expect, it } from 'vitest';
import { disk } from '../../../test/support/device.ts';
import { startHttpAgent } from '../../../test/support/http-agent.ts';
import { callJson } from '../../../test/support/http-call.ts';
import type { Device } from '../../devices/index.ts';
import { judge } from '../../devices/usability.ts';
import type { DeviceBody, DevicesReply } from '../faces/agent-api/schema.ts';
import { treeOf, treeRows } from './device-tree.ts';

function body(facts: Partial<Device>): DeviceBody {
  const device = disk(facts);
  return { ...device, verdict: judge(device) } as unknown as DeviceBody;
}

const namesOf = (devices: DeviceBody[]): string[] =>
  treeRows(treeOf(devices)).map(([name]) => name!);

it('LUKS on LVM on RAID on two disks, the RAID whole at the first one', async () => {
  const { socket } = await startHttpAgent();
  const { json } = await callJson<DevicesReply>(socket, { path: '/agent/v1/devices' });
  expect(namesOf(json.devices)).toEqual([
    'dm-2 nameless',
    'sda',
    '└─sda1',
    '  └─md127',
    '    └─dm-0 vg0-data',
    '      └─dm-1 data_crypt',
    'sdb',
    '└─sdb1',
    '  └─md127 (see above)',
  ]);
});

describe('what stands on what', () => {
  it('are partitions, holders and the loops whose files lie there', () => {
    const part = { kind: 'partition', parent: 'sda' } as const;
    const devices = [
      body({ name: 'sda', children: ['sda1', 'sda2'] }),
      body({ name: 'sda1', ...part }),
      body({ name: 'loop0', kind: 'loop', backingDevice: 'sda1' }),
      body({ name: 'sda2', ...part }),
    ];
    expect(namesOf(devices)).toEqual(['sda', '├─sda1', '│ └─loop0', '└─sda2']);
  });

  it('is shown though it goes in a circle, or is not there', () => {
    const devices = [
      body({ name: 'dm-0', kind: 'dm', slaves: ['dm-1'] }),
      body({ name: 'dm-1', kind: 'dm', slaves: ['dm-0'] }),
      body({ name: 'dm-2', kind: 'dm', slaves: ['dm-2'] }),
      body({ name: 'dm-3', kind: 'dm', slaves: ['sdgone'] }),
    ];
    expect(namesOf(devices)).toEqual(['dm-2', 'dm-3', 'dm-0', '└─dm-1', '  └─dm-0 (see above)']);
  });

  it('does not grow with the number of ways up', () => {
    const rungs = Array.from({ length: 60 }, (_, n) => [
      body({ name: `dm-${2 * n}`, slaves: n === 0 ? [] : [`dm-${2 * n - 1}`, `dm-${2 * n - 2}`] }),
      body({
        name: `dm-${2 * n + 1}`,
        slaves: n === 0 ? [] : [`dm-${2 * n - 1}`, `dm-${2 * n - 2}`],
      }),
    ]).flat();
    expect(namesOf(rungs).length).toBeLessThanOrEqual(4 * rungs.length);
  });
});

it('a node says what is on it and who has it', () => {
  const rows = treeRows(
    treeOf([
      body({
        name: 'sda',
        holders: ['dm-0'],
        content: 'found',
        fileSystem: { type: 'LVM2_member' },
      }),
      body({ name: 'sdb', readOnly: true, mountPoints: ['/very/long/mount/point/of/a/volume'] }),
      body({ name: 'sdc' }),
      body({ name: 'sdd', content: 'unread' }),
      body({ name: 'sde', content: 'found', partitionTable: 'gpt', children: ['sde1', 'sde2'] }),
      body({ name: 'sdf', quarantine: { id: 'x', names: ['sdf', 'sdg'] } }),
    ]),
  );
  expect(rows.map((row) => row.slice(0, 5))).toEqual([
    ['sda', 'disk', '1 GiB', 'LVM', 'below dm-0'],
    ['sdb', 'disk ro', '1 GiB', '-', '/very/long/mount/point/…'],
    ['sdc', 'disk', '1 GiB', '-', 'free'],
    ['sdd', 'disk', '1 GiB', '?', 'content-unknown'],
    ['sde', 'disk', '1 GiB', 'gpt', '2 partitions'],
    ['sdf', 'disk', '1 GiB', '-', 'quarantined'],
  ]);
});
