import type { MountEntry } from './sources/mountinfo.ts';
import { devicePath, type BlockFacts } from './sources/sysfs.ts';

/** Which device is meant by a node in /dev or by a device number. */
export class Nodes {
  readonly #names = new Map<string, string>();

  constructor(devices: readonly BlockFacts[]) {
    for (const { name, major, minor, dmName } of devices) {
      this.#names.set(`${major}:${minor}`, name);
      this.#names.set(devicePath(name), name);
      if (dmName !== undefined) this.#names.set(`/dev/mapper/${dmName}`, name);
    }
  }

  /** Kernel name of the device at a node. */
  at(node: string): string | undefined {
    return this.#names.get(node);
  }

  /** By device number; btrfs mounts under an anonymous number (major 0), there by the source it was mounted from. */
  under({ major, minor, source }: MountEntry): string | undefined {
    return this.#names.get(major === 0 ? source : `${major}:${minor}`);
  }
}

/** Mounts of each device by kernel name. */
export function mountsByName(
  nodes: Nodes,
  mounts: readonly MountEntry[],
): Map<string, MountEntry[]> {
  const found = new Map<string, MountEntry[]>();
  for (const mount of mounts) {
    const name = nodes.under(mount);
    if (name === undefined) continue;
    const list = found.get(name);
    if (list) list.push(mount);
    else found.set(name, [mount]);
  }
  return found;
}

/**
 * Kernel name of what is below a loop's file, or of where a zram writes its cold pages: by the mount that
 * the file's path is in, without asking the file itself, which may be on a network that hangs.
 */
export function backingDeviceOf(
  { backingFile, writebackDevice }: BlockFacts,
  nodes: Nodes,
  mounts: readonly MountEntry[],
): string | undefined {
  if (writebackDevice !== undefined) return nodes.at(writebackDevice);
  if (backingFile === undefined) return undefined;
  let found: MountEntry | undefined;
  for (const mount of mounts) {
    const { mountPoint } = mount;
    const isAbove = mountPoint === '/' || backingFile.startsWith(`${mountPoint}/`);
    // The last one mounted at a place hides the others.
    if (isAbove && mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount;
  }
  return found && nodes.under(found);
}
