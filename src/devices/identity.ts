import { createHash } from 'node:crypto';
import type { Confidence, DeviceIdentity } from './device.ts';
import { isJunk, isJunkWwid } from './junk.ts';
import type { BlockFacts } from './sources/sysfs.ts';

/** Facts that come from what is written on the device. */
export interface ContentFacts {
  readonly partUuid?: string | undefined;
  readonly fsUuid?: string | undefined;
  /** Of one member of a RAID or a btrfs: their `fsUuid` is that of the whole. */
  readonly fsUuidSub?: string | undefined;
}

/** Counts up when a rule changes, so that a record tells by which rules it got its identity. */
export const RECIPE_VERSION = 1;

type Rule = (device: BlockFacts, content: ContentFacts) => DeviceIdentity | undefined;

/**
 * Who a device is: the first rule that has an answer. A value is the facts themselves, never a hash
 * of facts some of which may be empty (OpenEBS NDM: two SSDs without WWN got one id,
 * https://github.com/openebs-archive/node-disk-manager/issues/656).
 *
 * A loop device is its file: that doesn't change with a mkfs, and copied images share a file system
 * UUID but never a path. A partition never inherits its disk's names.
 */
const RECIPE: readonly Rule[] = [
  nvmeWwid,
  scsiWwid,
  serialModelSize,
  ({ dmUuid }) => identityOf('dm-uuid', dmUuid, 'high'),
  ({ mdUuid }) => identityOf('md-uuid', mdUuid, 'high'),
  ({ backingFile }) => identityOf('backing-file', backingFile, 'low'),
  // Both are copied along when somebody clones a disk block by block.
  ({ kind }, { partUuid }) =>
    kind === 'partition' ? identityOf('partuuid', partUuid, 'medium') : undefined,
  (_, { fsUuid, fsUuidSub }) => identityOf('fs-uuid', fsUuidSub ?? fsUuid, 'low'),
];

export function identify(device: BlockFacts, content: ContentFacts): DeviceIdentity {
  for (const rule of RECIPE) {
    const identity = rule(device, content);
    if (identity) return identity;
  }
  return placeOf(device.name);
}

/** Where the device happens to be, as an identity that nothing may rely on. */
export function placeOf(name: string, conflict?: string): DeviceIdentity {
  const place = { scheme: 'path', value: name, confidence: 'none' } as const;
  return conflict === undefined ? place : { ...place, conflict };
}

/**
 * EUI-64, NGUID or UUID of the namespace; without any the kernel puts one together from vendor,
 * serial and model (`nvme.…`), which is as good as the serial.
 */
function nvmeWwid({ name, wwid, serial }: BlockFacts): DeviceIdentity | undefined {
  if (!name.startsWith('nvme') || !wwid || isJunkWwid(wwid)) return undefined;
  if (!wwid.startsWith('nvme.')) return identityOf('nvme-wwid', wwid, 'high');
  return serial && !isJunk(serial) ? identityOf('nvme-wwid', wwid, 'medium') : undefined;
}

/** With the serial: there are arrays and controllers that give all their disks one WWN. */
function scsiWwid({ name, wwid, serial }: BlockFacts): DeviceIdentity | undefined {
  if (name.startsWith('nvme') || !wwid || isJunkWwid(wwid)) return undefined;
  if (!serial) return identityOf('scsi-wwid', wwid, 'medium');
  if (!isJunk(serial)) return identityOf('scsi-wwid', joined([wwid, serial]), 'high');
  // `t10.…` is made of vendor, model and serial: with a junk serial it is junk as a whole.
  return wwid.includes(serial) ? undefined : identityOf('scsi-wwid', wwid, 'medium');
}

/** A disk without a model (virtio) has only what its hypervisor called it. */
function serialModelSize({ serial, model, sizeBytes }: BlockFacts): DeviceIdentity | undefined {
  if (!serial || isJunk(serial) || sizeBytes === 0) return undefined;
  return model
    ? identityOf('serial', joined([serial, model, `${sizeBytes}`]), 'medium')
    : identityOf('serial', joined([serial, `${sizeBytes}`]), 'low');
}

function identityOf(
  scheme: DeviceIdentity['scheme'],
  value: string | undefined,
  confidence: Confidence,
): DeviceIdentity | undefined {
  return value === undefined || value === '' ? undefined : { scheme, value, confidence };
}

function joined(parts: readonly string[]): string {
  return parts.map((part) => part.replaceAll('%', '%25').replaceAll('|', '%7C')).join('|');
}

/** Key, path segment and MQTT topic level: 255 bytes is the tightest of their limits, half of it stays readable. */
const ID_LENGTH_MAX = 128;
const HASH_LENGTH = 12;
/** Two dots never occur in an id that is its value, so no value can imitate a shortened one. */
const HASH_MARK = '..';

/**
 * The identity as `[A-Za-z0-9._-]+`, never starting with a dot: `<scheme>-<value>` when the value
 * allows, else the value with `_` for what isn't allowed, `..`, and 12 hex digits of the SHA-256 of
 * the exact value.
 */
export function deviceId({ scheme, value }: DeviceIdentity): string {
  const plain = `${scheme}-${value}`;
  const isSafe = /^[A-Za-z0-9._-]+$/.test(value) && !value.includes(HASH_MARK);
  if (isSafe && plain.length <= ID_LENGTH_MAX) return plain;
  const hash = createHash('sha256').update(plain).digest('hex').slice(0, HASH_LENGTH);
  const slug = plain.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/\.{2,}/g, '.');
  return `${slug.slice(0, ID_LENGTH_MAX - HASH_LENGTH - HASH_MARK.length)}${HASH_MARK}${hash}`;
}
