import { HoldfastError } from '../base/errors.ts';
import type { DeviceKind } from './device.ts';
import { backingDeviceOf, mountsByName, Nodes } from './nodes.ts';
import type { Observation } from './observation.ts';
import { parseMountinfo, type MountEntry } from './sources/mountinfo.ts';
import { Slices } from './sources/slices.ts';
import type { Superblocks } from './sources/superblocks.ts';
import { readSwapDevices } from './sources/swaps.ts';
import { readBlockDevices, readDiskseq, type BlockFacts } from './sources/sysfs.ts';
import type { Tree } from './sources/tree.ts';
import { readUdevHint } from './sources/udev.ts';

/** What a scan may leave out: a kind of device, or loop and nbd numbers with nothing attached to them. */
export type IgnoreClass = DeviceKind | 'unconfigured';

/**
 * The kernel makes sixteen RAM disks and keeps eight loop numbers ready: names for devices that may
 * come, of size 0. A loop or nbd appears with what is attached to it.
 */
export const IGNORED_BY_DEFAULT: readonly IgnoreClass[] = ['ram', 'unconfigured'];

/**
 * One look at the host through every source. No process unless a device changed.
 * @throws HostFailed when sysfs or mountinfo can't be read: a look that failed is not an empty host.
 */
export async function observe(
  tree: Tree,
  superblocks: Superblocks,
  ignore: ReadonlySet<IgnoreClass>,
): Promise<Observation[]> {
  const blocks = (await readBlockDevices(tree)).filter((block) => !isIgnored(block, ignore));
  const nodes = new Nodes(blocks);
  const allMounts = readMounts(tree);
  const mounts = mountsByName(nodes, allMounts);
  const swaps = new Set(readSwapDevices(tree).map((node) => nodes.at(node)));
  await superblocks.refresh(
    blocks,
    (block) => mounts.has(block.name) || swaps.has(block.name),
    (name) => readDiskseq(tree, name),
  );
  const observations: Observation[] = [];
  const slices = new Slices();
  for (const block of blocks) {
    observations.push({
      block,
      mounts: mounts.get(block.name) ?? [],
      swap: swaps.has(block.name),
      backingDevice: backingDeviceOf(block, nodes, allMounts),
      probe: superblocks.of(block),
      udev: readUdevHint(tree, block.major, block.minor),
    });
    await slices.breathe();
  }
  return observations;
}

/** @throws HostFailed: without it a mounted device would look free. */
export function readMounts(tree: Tree): MountEntry[] {
  const bytes = tree.whole('proc/self/mountinfo');
  if (bytes) return parseMountinfo(bytes);
  throw new HoldfastError('HostFailed', `${tree.at('proc/self/mountinfo')} can't be read`, {
    hint: 'Is /proc mounted?',
  });
}

function isIgnored(block: BlockFacts, ignore: ReadonlySet<IgnoreClass>): boolean {
  const isAttachable = block.kind === 'loop' || block.kind === 'nbd';
  const isEmpty = block.sizeBytes === 0 && block.backingFile === undefined;
  return ignore.has(block.kind) || (isAttachable && isEmpty && ignore.has('unconfigured'));
}
