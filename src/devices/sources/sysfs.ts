import { readdirSync } from 'node:fs';
import path from 'node:path';
import { HoldfastError, messageOf } from '../../base/errors.ts';
import type { DeviceKind } from '../device.ts';
import { Slices } from './slices.ts';
import { parseCount, type Tree } from './tree.ts';

/** What one block device's sysfs folder says, before anyone has thought about it. */
export interface BlockFacts {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly kind: DeviceKind;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
  readonly rotational: boolean;
  readonly readOnly: boolean;
  readonly removable: boolean;
  readonly model?: string;
  readonly serial?: string;
  readonly wwid?: string;
  readonly diskseq?: number;
  readonly backingFile?: string;
  readonly dmName?: string;
  readonly dmUuid?: string;
  readonly mdUuid?: string;
  /** e.g. `raid1` */
  readonly mdLevel?: string;
  /** zram only: the node that its cold pages are written to. */
  readonly writebackDevice?: string;
  readonly partUuid?: string;
  readonly parent?: string;
  readonly holders: readonly string[];
  readonly slaves: readonly string[];
  /** Counted since the device appeared; moves when somebody wrote (a mkfs, for one). */
  readonly sectorsWritten: number;
}

const BLOCK_CLASS = 'sys/class/block';
/** sysfs counts in sectors of 512 bytes whatever the device's own is (ABI/stable/sysfs-block, `size`). */
const SECTOR_BYTES = 512;
/** Longer is not a serial, model or wwid but rubbish; counts as unknown. */
const NAME_LENGTH_MAX = 256;

/**
 * Every block device of the host in one pass over /sys/class/block: no process started, no device
 * opened. Left out: NVMe paths behind a multipath head (they have no device number), and devices
 * that vanish or change while they are read (the next scan sees what became of them).
 * @throws HostFailed when there is no /sys/class/block: an unreadable sysfs is not a host without disks.
 */
export async function readBlockDevices(tree: Tree): Promise<BlockFacts[]> {
  const found: BlockFacts[] = [];
  const slices = new Slices();
  for (const name of blockNames(tree)) {
    const facts = readBlockDevice(tree, name);
    if (facts) found.push(facts);
    await slices.breathe();
  }
  return found;
}

/** The node of a kernel name: sysfs writes the slash of `cciss/c0d0` as `!`. */
export function devicePath(name: string): string {
  return `/dev/${name.replaceAll('!', '/')}`;
}

/** Tells one attach from the next: of a name that moved, it is another. */
export function readDiskseq(tree: Tree, name: string): number | undefined {
  return parseCount(readUevent(tree, `${BLOCK_CLASS}/${name}`).get('DISKSEQ'));
}

function blockNames(tree: Tree): string[] {
  const dir = tree.at(BLOCK_CLASS);
  try {
    return readdirSync(dir).sort();
  } catch (thrown) {
    throw new HoldfastError('HostFailed', `block devices can't be listed: ${messageOf(thrown)}`, {
      hint: `Is sysfs mounted? See: ls ${dir}`,
      cause: thrown,
    });
  }
}

function readBlockDevice(tree: Tree, name: string): BlockFacts | undefined {
  const dir = tree.follow(`${BLOCK_CLASS}/${name}`) ?? `${BLOCK_CLASS}/${name}`;
  const uevent = readUevent(tree, dir);
  const number = deviceNumber(tree, dir, uevent);
  if (!number) return undefined;
  const isPartition =
    uevent.get('DEVTYPE') === 'partition' || tree.number(`${dir}/partition`) !== undefined;
  // A partition has no queue, vendor or serial of its own: they are its disk's.
  const disk = isPartition ? path.posix.dirname(dir) : dir;
  const kind = isPartition ? 'partition' : kindOf(tree, dir, name);
  const logicalBlockBytes = tree.number(`${disk}/queue/logical_block_size`) ?? SECTOR_BYTES;
  const facts = {
    name,
    ...number,
    kind,
    sizeBytes: sizeOf(tree, dir),
    logicalBlockBytes,
    physicalBlockBytes: tree.number(`${disk}/queue/physical_block_size`) ?? logicalBlockBytes,
    rotational: tree.flag(`${disk}/queue/rotational`) ?? false,
    readOnly: tree.flag(`${dir}/ro`) ?? false,
    removable: tree.flag(`${disk}/removable`) ?? false,
    diskseq: parseCount(uevent.get('DISKSEQ')),
    partUuid: uevent.get('PARTUUID')?.toLowerCase(),
    parent: isPartition ? path.posix.basename(disk) : undefined,
    holders: tree.list(`${dir}/holders`),
    slaves: tree.list(`${dir}/slaves`),
    sectorsWritten: sectorsWritten(tree, dir),
    ...namesOf(tree, dir, kind),
  };
  // Facts of two devices that followed each other under one name must not be mixed into one.
  const after = readUevent(tree, dir);
  const same =
    after.get('DISKSEQ') === uevent.get('DISKSEQ') && after.get('MINOR') === uevent.get('MINOR');
  return same && deviceNumber(tree, dir, after) ? facts : undefined;
}

/** What the hardware or the driver calls the device. */
function namesOf(tree: Tree, dir: string, kind: DeviceKind): Partial<BlockFacts> {
  switch (kind) {
    case 'loop':
      return { backingFile: tree.text(`${dir}/loop/backing_file`) };
    case 'dm':
      return { dmName: tree.text(`${dir}/dm/name`), dmUuid: tree.text(`${dir}/dm/uuid`) };
    case 'md':
      return { mdUuid: tree.text(`${dir}/md/uuid`), mdLevel: tree.text(`${dir}/md/level`) };
    case 'zram': {
      // "none" until one is set (admin-guide/blockdev/zram.rst).
      const node = tree.text(`${dir}/backing_dev`);
      return { writebackDevice: node === 'none' ? undefined : node };
    }
    case 'disk':
    case 'rom':
      return {
        model: short(tree.text(`${dir}/device/model`) ?? tree.text(`${dir}/device/name`)),
        serial: short(serialOf(tree, dir)),
        wwid: short(tree.text(`${dir}/wwid`) ?? tree.text(`${dir}/device/wwid`)),
      };
    default:
      return {};
  }
}

function serialOf(tree: Tree, dir: string): string | undefined {
  return (
    tree.text(`${dir}/serial`) ??
    tree.text(`${dir}/device/serial`) ??
    parseUnitSerial(tree.bytes(`${dir}/device/vpd_pg80`)) ??
    usbSerial(tree, dir)
  );
}

/** SPC-4, unit serial number VPD page (80h): byte 1 is the page, bytes 2-3 the length, then text. */
export function parseUnitSerial(page: Buffer | undefined): string | undefined {
  if (!page || page.length < 4 || page[1] !== 0x80) return undefined;
  const text = page.subarray(4, 4 + page.readUInt16BE(2)).toString('latin1');
  // oxlint-disable-next-line no-control-regex -- padding of some firmwares is NUL
  return text.replace(/^[\s\0]+|[\s\0]+$/g, '').replace(/[^\x20-\x7e]/g, '?') || undefined;
}

/** Of a disk behind USB: the serial of the USB device, which is the first folder upwards with an `idVendor`. */
function usbSerial(tree: Tree, dir: string): string | undefined {
  if (!dir.includes('/usb')) return undefined;
  for (let up = path.posix.dirname(dir); up.includes('/usb'); up = path.posix.dirname(up)) {
    if (tree.text(`${up}/idVendor`)) return tree.text(`${up}/serial`);
  }
  return undefined;
}

function short(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= NAME_LENGTH_MAX ? text : undefined;
}

function sizeOf(tree: Tree, dir: string): number {
  const bytes = (tree.number(`${dir}/size`) ?? 0) * SECTOR_BYTES;
  return Number.isSafeInteger(bytes) ? bytes : 0;
}

/** Seventh field of `stat` (admin-guide/iostats.rst, "sectors written"). */
function sectorsWritten(tree: Tree, dir: string): number {
  return parseCount(tree.text(`${dir}/stat`)?.split(/\s+/)[6]) ?? 0;
}

function readUevent(tree: Tree, dir: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const line of tree.bytes(`${dir}/uevent`)?.toString('latin1').split('\n') ?? []) {
    const at = line.indexOf('=');
    if (at > 0 && at < line.length - 1) pairs.set(line.slice(0, at), line.slice(at + 1));
  }
  return pairs;
}

function deviceNumber(
  tree: Tree,
  dir: string,
  uevent: ReadonlyMap<string, string>,
): { major: number; minor: number } | undefined {
  const dev = tree.text(`${dir}/dev`)?.split(':');
  const major = parseCount(uevent.get('MAJOR') ?? dev?.[0]);
  const minor = parseCount(uevent.get('MINOR') ?? dev?.[1]);
  return major === undefined || minor === undefined ? undefined : { major, minor };
}

const KINDS: ReadonlyArray<readonly [RegExp, DeviceKind]> = [
  [/^loop\d/, 'loop'],
  [/^zram\d/, 'zram'],
  [/^ram\d/, 'ram'],
  [/^dm-\d/, 'dm'],
  [/^md/, 'md'],
  [/^sr\d/, 'rom'],
  [/^nbd\d/, 'nbd'],
];

function kindOf(tree: Tree, dir: string, name: string): DeviceKind {
  const known = KINDS.find(([pattern]) => pattern.test(name))?.[1];
  // Only what hangs on a bus has a `device`; ubd, ublk, rbd and the like are told apart by nothing.
  return known ?? (tree.follow(`${dir}/device`) === undefined ? 'other' : 'disk');
}
