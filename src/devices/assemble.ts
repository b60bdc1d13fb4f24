import type { Device, DeviceIdentity, Layer, Quarantine } from './device.ts';
import { factsOf } from './facts.ts';
import { deviceId, identify, placeOf, RECIPE_VERSION } from './identity.ts';
import { withoutUnknown } from './known.ts';
import { contentOf, fileSystemOf, writtenOn, type Observation } from './observation.ts';
import type { MountEntry } from './sources/mountinfo.ts';
import { devicePath, type BlockFacts } from './sources/sysfs.ts';

/** A container host mounts its root disk hundreds of times; the first ones (by path) tell enough. */
const MOUNT_POINTS_MAX = 64;
/** A controller that calls all its disks the same may have thousands, each with the list of all. */
const CLAIMANTS_NAMED_MAX = 16;

/**
 * One scan's observations as devices, with the identity and id that each has by itself. Pure: the same
 * observations give the same devices.
 *
 * Two present devices with one identity (cloned disks, a controller with one WWN) are told apart only by
 * place: both get a `path` identity and are quarantined. The paths to one multipath disk have one identity
 * by nature: they too are known by place only, and the disk's identity is that of the map on top of them.
 */
export function assemble(observations: readonly Observation[], nowIso: string): Device[] {
  const legs = multipathLegs(observations.map(({ block }) => block));
  const own = observations.map((seen) => identify(seen.block, writtenOn(seen)));
  const claimants = new Map<string, string[]>();
  for (const [index, { block }] of observations.entries()) {
    if (legs.has(block.name)) continue;
    const id = deviceId(own[index]!);
    const list = claimants.get(id);
    if (list) list.push(block.name);
    else claimants.set(id, [block.name]);
  }
  const children = childrenByParent(observations);
  return observations.map((seen, index) => {
    const { name } = seen.block;
    const identity = own[index]!;
    const id = deviceId(identity);
    const legOf = legs.get(name);
    const names = legOf === undefined ? claimants.get(id)! : [];
    const device = deviceOf(seen, identity, nowIso, {
      children: children.get(name) ?? [],
      legOf,
    });
    return legOf !== undefined
      ? placed(device)
      : names.length > 1
        ? quarantined(device, { id, names: names.slice(0, CLAIMANTS_NAMED_MAX) })
        : device;
  });
}

/** The device as one that nobody can tell from the others that are called the same. */
export function quarantined(device: Device, quarantine: Quarantine): Device {
  return { ...placed(device), quarantine };
}

function placed(device: Device): Device {
  const { scheme, value } = device.identity;
  const identity = placeOf(device.name, scheme === 'path' ? undefined : `${scheme}:${value}`);
  return { ...device, identity, id: deviceId(identity) };
}

/** Paths to a multipath disk, and their partitions, by the kernel name of the map on top of them. */
function multipathLegs(blocks: readonly BlockFacts[]): Map<string, string> {
  const maps = new Set(
    blocks.filter((block) => layerOf(block) === 'multipath').map(({ name }) => name),
  );
  const legs = new Map<string, string>();
  for (const { name, holders } of blocks) {
    const map = holders.find((holder) => maps.has(holder));
    if (map !== undefined) legs.set(name, map);
  }
  for (const { name, parent } of blocks) {
    const map = parent === undefined ? undefined : legs.get(parent);
    if (map !== undefined) legs.set(name, map);
  }
  return legs;
}

/**
 * Device-mapper's users write what they are before the first dash of the UUID: `LVM-…`, `CRYPT-LUKS2-…`,
 * `mpath-…`, `part1-mpath-…` (admin-guide/device-mapper, libdevmapper's DM_UUID).
 */
const LAYERS: ReadonlyArray<readonly [RegExp, Layer]> = [
  [/^LVM-/, 'lvm'],
  [/^CRYPT-/, 'luks'],
  [/^mpath-/, 'multipath'],
  [/^part\d+-/, 'partition'],
  [/^DMRAID-/, 'raid'],
];

function layerOf({ kind, dmUuid }: BlockFacts): Layer | undefined {
  if (kind === 'md') return 'raid';
  if (kind !== 'dm') return undefined;
  return LAYERS.find(([pattern]) => dmUuid !== undefined && pattern.test(dmUuid))?.[1] ?? 'other';
}

function deviceOf(
  seen: Observation,
  identity: DeviceIdentity,
  nowIso: string,
  relations: { readonly children: readonly string[]; readonly legOf: string | undefined },
): Device {
  const { block } = seen;
  return withoutUnknown({
    id: deviceId(identity),
    identity,
    recipe: RECIPE_VERSION,
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
    backingDevice: seen.backingDevice,
    layer: layerOf(block),
    layerName: block.dmName ?? block.mdLevel,
    content: contentOf(seen),
    partitionTable: writtenOn(seen).partitionTable,
    fileSystem: fileSystemOf(seen),
    mountPoints: mountPointsOf(seen.mounts),
    swap: seen.swap,
    parent: block.parent,
    ...relations,
    holders: block.holders,
    slaves: block.slaves,
    present: true,
    facts: factsOf(seen, nowIso),
    history: [],
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
