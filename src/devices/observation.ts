import type { Content, FileSystemFacts } from './device.ts';
import { withoutUnknown } from './known.ts';
import type { ProbeResult } from './sources/blkid.ts';
import type { MountEntry } from './sources/mountinfo.ts';
import type { BlockFacts } from './sources/sysfs.ts';
import type { UdevHint } from './sources/udev.ts';

/** What the sources say of one device, side by side. */
export interface Observation {
  readonly block: BlockFacts;
  readonly mounts: readonly MountEntry[];
  readonly swap: boolean;
  /** Kernel name of what is below a loop's file or a zram's pages. */
  readonly backingDevice: string | undefined;
  readonly probe: ProbeResult | undefined;
  readonly udev: UdevHint;
}

/** What is written on a device, and who says so. */
export interface Written extends UdevHint {
  readonly source: 'superblock' | 'udev';
  readonly fsUuidSub?: string;
}

/** By whom one can believe: the superblock itself, else udev. */
export function writtenOn({ block, probe, udev }: Observation): Written {
  if (probe?.outcome === 'found') {
    return { ...probe, partUuid: block.partUuid ?? probe.partUuid, source: 'superblock' };
  }
  const seen = probe?.outcome === 'unreadable' ? probe.partUuid : undefined;
  const partUuid = block.partUuid ?? seen ?? udev.partUuid;
  // A probe that read the device and saw nothing, or too much, beats an older hint.
  const answered = probe?.outcome === 'nothing' || probe?.outcome === 'ambivalent';
  if (answered) return { partUuid, source: 'superblock' };
  // udev's rules copy the disk's properties to its partitions, and with them the disk's table.
  const noTable = { partitionTable: undefined, partitionTableUuid: undefined };
  const hint = block.kind === 'partition' ? { ...udev, ...noTable } : udev;
  return { ...hint, partUuid, source: 'udev' };
}

export function contentOf(seen: Observation): Content {
  const { fsType, partitionTable } = writtenOn(seen);
  const isFound = seen.mounts.length > 0 || fsType !== undefined || partitionTable !== undefined;
  if (isFound) return 'found';
  switch (seen.probe?.outcome) {
    case 'nothing':
    case 'ambivalent':
    case 'unreadable':
      return seen.probe.outcome;
    // Of a partition blkid also finds its entry in the table, with nothing in it.
    case 'found':
      return 'nothing';
    default:
      return 'unread';
  }
}

/** The kernel knows best what it has mounted, except through FUSE. */
export function mountedType({ mounts }: Observation): string | undefined {
  const type = mounts[0]?.fsType;
  return type === 'fuseblk' ? undefined : type;
}

export function fileSystemOf(seen: Observation): FileSystemFacts | undefined {
  const { fsType, fsLabel, fsUuid } = writtenOn(seen);
  const type = mountedType(seen) ?? fsType ?? seen.mounts[0]?.fsType;
  return type === undefined ? undefined : withoutUnknown({ type, label: fsLabel, uuid: fsUuid });
}
