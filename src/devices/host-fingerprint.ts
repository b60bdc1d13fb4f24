import type { HostFingerprint } from './host.ts';
import { withoutUnknown } from './known.ts';
import { readRootDisk } from './root-disk.ts';
import { readFirmware } from './sources/dmi.ts';
import { readMachine } from './sources/machine-id.ts';
import { readPermanentMacs } from './sources/nics.ts';
import type { Tree } from './sources/tree.ts';

/** What this machine is made of, as far as it may be read; a fact that isn't known is left out. */
export async function readFingerprint(tree: Tree): Promise<HostFingerprint> {
  const { productUuid, boardSerial } = readFirmware(tree);
  return withoutUnknown({
    productUuid,
    boardSerial,
    macs: readPermanentMacs(tree),
    rootDisk: await rootDiskIfReadable(tree),
    machine: readMachine(tree),
  });
}

/** A container without sysfs has no root disk to show, and absence is no evidence; the scan says what is wrong. */
async function rootDiskIfReadable(tree: Tree): Promise<string | undefined> {
  try {
    return await readRootDisk(tree);
  } catch {
    return undefined;
  }
}
