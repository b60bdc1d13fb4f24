import type { Device, DeviceIdentity, FileSystemFacts } from './device.ts';
import { deviceId, identify, placeOf, type ContentFacts } from './identity.ts';
import { withoutUnknown } from './known.ts';
import type { ProbeResult } from './sources/blkid.ts';
import type { MountEntry } from './sources/mountinfo.ts';
import { devicePath, type BlockFacts } from './sources/sysfs.ts';
import type { UdevHint } from './sources/udev.ts';

/** A container host mounts its root disk hundreds of times; the first ones (by path) tell enough. */
const MOUNT_POINTS_MAX = 64;

/** What the sources say of one device, side by side. */
export interface Observation {
  readonly block: BlockFacts;
  readonly mounts: readonly MountEntry[];
  readonly probe: ProbeResult | undefined;
  readonly udev: UdevHint;
}

/**
 * One scan's observations as devices. Pure: the same observations give the same devices.
 *
 * Two present devices with one identity (multipath legs, cloned disks, a controller with one WWN)
 * are told apart only by place: both get a `path` identity that names the conflict.
 */
export function assemble(observations: readonly Observation[]): Device[] {
  const identities = observations.map((seen) => identify(seen.block, contentOf(seen)));
  const claims = new Map<string, number>();
  for (const identity of identities) {
    const id = deviceId(identity);
    claims.set(id, (claims.get(id) ?? 0) + 1);
  }
  const children = childrenByParent(observations);
  return observations.map((seen, index) => {
    const own = identities[index]!;
    const shared = claims.get(deviceId(own))! > 1;
    const identity = shared ? placeOf(seen.block.name, `${own.scheme}:${own.value}`) : own;
    return deviceOf(seen, identity, children.get(seen.block.name) ?? []);
  });
}

/**
 * Mounts of each device by kernel name. By device number; btrfs mounts under an anonymous number
 * (major 0), there by the source it was mounted from.
 */
export function mountsByName(
  devices: readonly BlockFacts[],
  mounts: readonly MountEntry[],
): Map<string, MountEntry[]> {
  const names = new Map<string, string>();
  for (const { name, major, minor, dmName } of devices) {
    names.set(`${major}:${minor}`, name);
    names.set(devicePath(name), name);
    if (dmName) names.set(`/dev/mapper/${dmName}`, name);
  }
  const found = new Map<string, MountEntry[]>();
  for (const mount of mounts) {
    const name = names.get(mount.major === 0 ? mount.source : `${mount.major}:${mount.minor}`);
    if (name === undefined) continue;
    const list = found.get(name);
    if (list) list.push(mount);
    else found.set(name, [mount]);
  }
  return found;
}

/** What is written on the device, by whom one can believe: the superblock itself, else udev. */
function contentOf({ block, probe, udev }: Observation): ContentFacts & UdevHint {
  const partUuid =
    block.partUuid ?? (probe?.outcome === 'found' ? probe.partUuid : undefined) ?? udev.partUuid;
  if (probe?.outcome === 'found') return { ...probe, partUuid };
  // A probe that read the device and saw nothing, or too much, beats an older hint.
  const answered = probe?.outcome === 'nothing' || probe?.outcome === 'ambivalent';
  return answered ? { partUuid } : { ...udev, partUuid };
}

function fileSystemOf(seen: Observation): FileSystemFacts | undefined {
  const { fsType, fsLabel, fsUuid } = contentOf(seen);
  // The kernel knows best what it has mounted, except through FUSE.
  const mounted = seen.mounts[0]?.fsType;
  const type = mounted === undefined || mounted === 'fuseblk' ? (fsType ?? mounted) : mounted;
  return type === undefined ? undefined : withoutUnknown({ type, label: fsLabel, uuid: fsUuid });
}

function deviceOf(
  seen: Observation,
  identity: DeviceIdentity,
  children: readonly string[],
): Device {
  const { block } = seen;
  return withoutUnknown({
    id: deviceId(identity),
    identity,
    name: block.name,
    path: devicePath(block.name),
    major: block.major,
    minor: block.minor,
    kind: block.kind,
    sizeBytes: block.sizeBytes,
    logicalBlockBytes: block.logicalBlockBytes,
    physicalBlockBytes: block.physicalBlockBytes,
    rotational: block.rotational,
    readOnly: block.readOnly,
    removable: block.removable,
    model: block.model,
    serial: block.serial,
    wwid: block.wwid,
    diskseq: block.diskseq,
    backingFile: block.backingFile,
    fileSystem: fileSystemOf(seen),
    mountPoints: mountPointsOf(seen.mounts),
    parent: block.parent,
    children,
    holders: block.holders,
    slaves: block.slaves,
    present: true,
  });
}

function mountPointsOf(mounts: readonly MountEntry[]): string[] {
  return [...new Set(mounts.map(({ mountPoint }) => mountPoint))].sort().slice(0, MOUNT_POINTS_MAX);
}

function childrenByParent(observations: readonly Observation[]): Map<string, string[]> {
  const children = new Map<string, string[]>();
  for (const { block } of observations) {
    if (block.parent === undefined) continue;
    children.set(block.parent, [...(children.get(block.parent) ?? []), block.name]);
  }
  return children;
}
