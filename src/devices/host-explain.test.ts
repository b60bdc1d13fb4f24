/** Goal: a person sees by which facts a host was known again or taken for another one. */
import { expect, it } from 'vitest';
import { plant } from '../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { explainHost } from './host-explain.ts';

const UUID = '4c4c4544-0042-3510-8058-b4c04f4a4d32';

function host(files: Record<string, string>): string {
  const root = tempDir('explain');
  plant(root, files);
  return root;
}

function nic(name: string, mac: string): Record<string, string> {
  const dir = `sys/class/net/${name}`;
  return {
    [`${dir}/address`]: `${mac}\n`,
    [`${dir}/addr_assign_type`]: '0\n',
    [`${dir}/device/x`]: '',
  };
}

it('names each part, what it was, what it is, and what that means', async () => {
  const root = host({
    'sys/class/dmi/id/product_uuid': `${UUID}\n`,
    'sys/class/dmi/id/board_serial': 'NEW-BOARD-1\n',
    ...nic('eth0', '00:1b:21:00:00:01'),
    ...nic('eth1', '00:1b:21:00:00:09'),
  });
  const stored = {
    productUuid: UUID,
    boardSerial: 'OLD-BOARD-1',
    macs: ['00:1b:21:00:00:01', '00:1b:21:00:00:02'],
    rootDisk: 'scsi-wwid-x',
  };
  expect(await explainHost(stored, root)).toEqual({
    relation: 'parts-replaced',
    parts: [
      { part: 'product UUID', likeness: 'same', stored: UUID, now: UUID },
      {
        part: 'board serial number',
        likeness: 'different',
        stored: 'OLD-BOARD-1',
        now: 'NEW-BOARD-1',
      },
      {
        part: 'network cards',
        likeness: 'partly',
        stored: '00:1b:21:00:00:01 00:1b:21:00:00:02',
        now: '00:1b:21:00:00:01 00:1b:21:00:00:09',
      },
      { part: 'root disk', likeness: 'unknown', stored: 'scsi-wwid-x' },
      { part: 'machine-id', likeness: 'unknown' },
    ],
  });
});

it('says of another machine that it is another one, and of one that shows nothing that nobody knows', async () => {
  const stored = { productUuid: UUID, macs: [] };
  const other = host({ 'sys/class/dmi/id/product_uuid': '11111111-2222-3510-8058-b4c04f4a4d32\n' });
  expect(await explainHost(stored, other)).toMatchObject({ relation: 'another-host' });
  expect(await explainHost(stored, host({}))).toMatchObject({ relation: 'unknown' });
});
