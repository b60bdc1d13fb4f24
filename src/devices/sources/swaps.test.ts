/** Goal: a device that the kernel swaps to is found by its node, whatever is in the name. */
import { expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { parseSwaps, readSwapDevices } from './swaps.ts';
import { Tree } from './tree.ts';

/* As mm/swapfile.c swap_show() writes it: the path with blanks as octal, then tabs. */
const SWAPS = [
  'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority',
  '/dev/dm-1                               partition\t8388604\t\t0\t\t-2',
  '/dev/my\\040disk                         partition\t1024\t\t0\t\t-3',
  '/dev/sdb2\\040(deleted)                  partition\t1024\t\t0\t\t-4',
  '/swap.img                               file\t\t2097148\t\t0\t\t-5',
  '',
].join('\n');

it('names the devices, not the files', () => {
  expect(parseSwaps(SWAPS)).toEqual(['/dev/dm-1', '/dev/my disk', '/dev/sdb2']);
});

it.each(['', 'Filename\n', 'x', 'Filename\n\n partition\nrelative partition 1 2 3\n/dev/sda'])(
  'finds none in %j',
  (text) => expect(parseSwaps(text)).toEqual([]),
);

it('is empty where the kernel has no swap', () => {
  const root = tempDir('swaps');
  expect(readSwapDevices(new Tree(root))).toEqual([]);
  plant(root, { 'proc/swaps': SWAPS });
  expect(readSwapDevices(new Tree(root))).toHaveLength(3);
});
