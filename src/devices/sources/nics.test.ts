/** Goal: only addresses that a card was made with count, so that a bridge, a bond or a random one is never "new hardware". */
import { expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { readPermanentMacs } from './nics.ts';
import { Tree } from './tree.ts';

interface Nic {
  readonly address: string;
  /** Default 0, permanent. */
  readonly type?: number;
  /** Default true: there is a device below it. */
  readonly real?: boolean;
}

function macsOf(nics: Record<string, Nic>): string[] {
  const root = tempDir('nics');
  for (const [name, { address, type = 0, real = true }] of Object.entries(nics)) {
    const dir = `sys/class/net/${name}`;
    plant(root, { [`${dir}/address`]: `${address}\n`, [`${dir}/addr_assign_type`]: `${type}\n` });
    if (real) plant(root, { [`${dir}/device/uevent`]: '' });
  }
  return readPermanentMacs(new Tree(root));
}

it('takes permanent addresses of real cards, sorted and once', () => {
  expect(
    macsOf({
      eth1: { address: 'B4:2E:99:00:00:02' },
      eth0: { address: 'b4:2e:99:00:00:01' },
      vf0: { address: 'b4:2e:99:00:00:01' },
    }),
  ).toEqual(['b4:2e:99:00:00:01', 'b4:2e:99:00:00:02']);
});

it.each<[string, Nic]>([
  ['a random address (addr_assign_type 1)', { address: 'b4:2e:99:00:00:01', type: 1 }],
  ['one taken from another card (2)', { address: 'b4:2e:99:00:00:01', type: 2 }],
  ['one that was set (3)', { address: 'b4:2e:99:00:00:01', type: 3 }],
  ['an interface without a device', { address: 'b4:2e:99:00:00:01', real: false }],
  ['loopback', { address: '00:00:00:00:00:00' }],
  ['the address QEMU gives everybody', { address: '52:54:00:12:34:56' }],
  ['InfiniBand', { address: '80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1' }],
])('leaves out %s', (_, nic) => expect(macsOf({ eth0: nic })).toEqual([]));

it('has none where there is no network at all', () => {
  expect(readPermanentMacs(new Tree(tempDir('nics')))).toEqual([]);
});
