import type { Tree } from './tree.ts';

const NETWORK_CLASS = 'sys/class/net';
/** `addr_assign_type` (ABI/testing/sysfs-class-net): the address is the hardware's own; random, stolen and set ones are 1-3. */
const PERMANENT = '0';
/** Six bytes. InfiniBand's twenty contain a number that changes at every boot. */
const ETHERNET = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
/** QEMU gives this one to every guest that wasn't given another. */
const QEMU_DEFAULT = '52:54:00:12:34:56';
const JUNK: ReadonlySet<string> = new Set(['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', QEMU_DEFAULT]);

/**
 * The MAC addresses that this machine's network cards were made with, sorted. Only of interfaces on a
 * real device: bridges, tunnels and a container's veth have none.
 */
export function readPermanentMacs(tree: Tree): string[] {
  const macs = new Set<string>();
  for (const name of tree.list(NETWORK_CLASS)) {
    const dir = `${NETWORK_CLASS}/${name}`;
    const isReal = tree.exists(`${dir}/device`);
    if (!isReal || tree.text(`${dir}/addr_assign_type`) !== PERMANENT) continue;
    const mac = tree.text(`${dir}/address`)?.toLowerCase();
    if (mac !== undefined && ETHERNET.test(mac) && !JUNK.has(mac)) macs.add(mac);
  }
  return [...macs].sort();
}
