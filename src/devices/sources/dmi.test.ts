/** Goal: what the firmware says of the machine is believed, except where its vendor left the template in. */
import { expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { readFirmware } from './dmi.ts';
import { Tree } from './tree.ts';

function firmware(files: Record<string, string>) {
  const root = tempDir('dmi');
  plant(root, files);
  return readFirmware(new Tree(root));
}

function dmi(files: Record<string, string>) {
  return firmware(
    Object.fromEntries(
      Object.entries(files).map(([name, text]) => [`sys/class/dmi/id/${name}`, text]),
    ),
  );
}

it('reads SMBIOS', () => {
  expect(
    dmi({
      sys_vendor: 'HP\n',
      product_name: 'ProLiant MicroServer Gen10\n',
      product_uuid: '4C4C4544-0042-3510-8052-B4C04F4D3132\n',
      board_serial: 'CZ1234ABCD  \n',
    }),
  ).toEqual({
    manufacturer: 'HP',
    model: 'ProLiant MicroServer Gen10',
    productUuid: '4c4c4544-0042-3510-8052-b4c04f4d3132',
    boardSerial: 'CZ1234ABCD',
  });
});

it('takes what a vendor forgot to fill in for nothing', () => {
  expect(
    dmi({
      sys_vendor: 'To be filled by O.E.M.\n',
      product_name: 'System Product Name\n',
      product_uuid: '03000200-0400-0500-0006-000700080009\n',
      board_serial: 'Default string\n',
    }),
  ).toEqual({});
});

it('reads a device tree, with its NUL at the end, where there is no SMBIOS', () => {
  expect(
    firmware({
      'sys/firmware/devicetree/base/model': 'Raspberry Pi 4 Model B Rev 1.4\0',
      'sys/firmware/devicetree/base/serial-number': '100000003c5f7e1d\0',
    }),
  ).toEqual({ model: 'Raspberry Pi 4 Model B Rev 1.4', boardSerial: '100000003c5f7e1d' });
});

it('says nothing where there is neither', () => expect(firmware({})).toEqual({}));
