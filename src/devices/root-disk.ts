import { deviceId, identify } from './identity.ts';
import { Nodes } from './nodes.ts';
import { readMounts } from './observe.ts';
import { readBlockDevices, type BlockFacts } from './sources/sysfs.ts';
import type { Tree } from './sources/tree.ts';

/** Names that a maker gave to hardware. UUIDs of volumes and partitions don't count: a copy of the disk has them too. */
const HARDWARE_SCHEMES: ReadonlySet<string> = new Set(['nvme-wwid', 'scsi-wwid', 'serial']);

/**
 * Which disk the root file system is on, as device id: from the mount at `/` to its block device, from a
 * partition to its disk, from a volume down to the disks it is made of (several, joined by `+`).
 * Undefined when no disk is found (overlay, network, RAM), or one of them has no name of its own that
 * can be trusted (low confidence: what a hypervisor called it). No device is opened.
 */
export async function readRootDisk(tree: Tree): Promise<string | undefined> {
  const blocks = await readBlockDevices(tree);
  // The last one mounted there hides the others.
  const root = readMounts(tree).findLast(({ mountPoint }) => mountPoint === '/');
  const name = root && new Nodes(blocks).under(root);
  if (name === undefined) return undefined;
  const disks = disksUnder(name, new Map(blocks.map((block) => [block.name, block])));
  const ids = disks.map(hardwareId);
  // With a disk missing from it this would be another value, as if it had been replaced.
  if (ids.length === 0 || !ids.every((id) => id !== undefined)) return undefined;
  return [...new Set(ids)].sort().join('+');
}

/** What a device stands on, in the end. A recorded tree may go in circles. */
function disksUnder(top: string, blocks: ReadonlyMap<string, BlockFacts>): BlockFacts[] {
  const disks: BlockFacts[] = [];
  const seen = new Set<string>();
  const waiting = [top];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const block = blocks.get(name);
    if (!block || seen.has(name)) continue;
    seen.add(name);
    const below = block.parent === undefined ? block.slaves : [block.parent];
    if (below.length === 0) disks.push(block);
    waiting.push(...below);
  }
  return disks;
}

/** Not as the registry has it: whether a twin of the disk is plugged in too says nothing about the host. */
function hardwareId(disk: BlockFacts): string | undefined {
  const identity = identify(disk, {});
  const isTrusted = identity.confidence === 'high' || identity.confidence === 'medium';
  return isTrusted && HARDWARE_SCHEMES.has(identity.scheme) ? deviceId(identity) : undefined;
}
