/** Goal: a container says so before its machine does, and bare metal is never called virtual. */
import { expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { FirmwareFacts } from './dmi.ts';
import { Tree } from './tree.ts';
import { readVirtual } from './virtual.ts';

const GUEST = ['fpu', 'hypervisor'];
const METAL = ['fpu'];
const EC2 = { manufacturer: 'Amazon EC2', model: 'm7i.metal' };

it.each<[string, Record<string, string>, FirmwareFacts, string[] | undefined, string | undefined]>([
  ['a PC', {}, { manufacturer: 'HP' }, METAL, undefined],
  ['a Pi (no flags on Arm)', {}, { model: 'Raspberry Pi 4 Model B' }, undefined, undefined],
  ['a guest of QEMU', {}, { manufacturer: 'QEMU', model: 'Standard PC' }, GUEST, 'kvm'],
  ['a guest on Arm', {}, { manufacturer: 'QEMU' }, undefined, 'kvm'],
  ['a guest without firmware', {}, {}, GUEST, 'vm'],
  ['a cloud’s guest', {}, EC2, GUEST, 'amazon'],
  ['a cloud’s bare metal', {}, EC2, METAL, undefined],
  [
    'Hyper-V',
    {},
    { manufacturer: 'Microsoft Corporation', model: 'Virtual Machine' },
    GUEST,
    'hyperv',
  ],
  [
    'a Surface',
    {},
    { manufacturer: 'Microsoft Corporation', model: 'Surface Pro' },
    METAL,
    undefined,
  ],
  ['Docker in a guest', { '.dockerenv': '' }, {}, GUEST, 'docker'],
  ['Podman', { 'run/.containerenv': '' }, {}, METAL, 'podman'],
  [
    'nspawn, which says its name',
    { 'run/systemd/container': 'systemd-nspawn\n' },
    {},
    METAL,
    'systemd-nspawn',
  ],
])('%s', (_, files, firmware, flags, virtual) => {
  const root = tempDir('virtual');
  plant(root, files);
  expect(readVirtual(new Tree(root), firmware, flags)).toBe(virtual);
});
