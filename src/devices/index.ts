/**
 * Facts about the host and its block devices. Nothing here acts on a disk.
 *
 * Nouns: an *observation* is what the sources (sysfs, mountinfo, superblocks, udev) say of one device side
 * by side; a *device* is the facts made of it, with an *identity* (who it is, wherever it is plugged in) and
 * the confidence one may have in it; the *registry* is all devices ever seen, present or not; the *host* is
 * the machine: a replica id bound to a *fingerprint* of its hardware.
 *
 *   device.ts host.ts   the facts                  registry.ts       what was known, what changed
 *   observe.ts          one look at the host       compare.ts        events and history
 *   observation.ts      what it saw of a device    usability.ts      "is this disk free?"
 *   assemble.ts         observations -> devices    host-identity.ts  minted, the same, or another host
 *   identity.ts         the recipe                 same-host.ts      the judgement, a pure function
 *   recognise.ts        devices -> their records   host-facts.ts     what people like to read
 *   claims.ts           who took which device      sources/          one file per source
 *   junk.ts             serials that say nothing
 *
 * Invariants:
 * - No device is opened for writing. A scan starts no process, but for superblocks of devices that changed.
 * - Absence is not deletion: an unplugged device stays in the registry; a look that failed changes nothing.
 * - A missing fact is missing, never an empty string in a hash; two devices with one identity have none.
 * - What isn't known speaks against a device: nothing that may hold data is called free.
 * - What didn't change is not written, and nobody hears of a change before it is stored.
 *
 * Caveats: loop devices are told apart by the path of their file, and partitions and file systems by UUIDs
 * that a copy has too (see `confidence`). A fingerprint can't tell a virtual machine without firmware,
 * disk serial and network card from its clone.
 *
 * This folder doesn't know the engine: it keeps its facts through `FactStore`, which the agent supplies.
 */
export type { Claim, ClaimStore } from './claims.ts';
export type { DeviceEvent } from './compare.ts';
export type { Device, DeviceIdentity, DeviceKind } from './device.ts';
export type { ClaimState, Devices } from './devices.ts';
export type { FactStore } from './fact-store.ts';
export type { HostFacts, HostFingerprint, HostIdentity } from './host.ts';
export { explainHost, type HostExplanation } from './host-explain.ts';
export { readHostFacts } from './host-facts.ts';
export { knowHost, type HostVerdict } from './host-identity.ts';
export { DeviceRegistry } from './registry.ts';
export { readInventory } from './sources/inventory.ts';
export { parseMountinfo, type MountEntry } from './sources/mountinfo.ts';
export { watchBlockDevices } from './sources/uevents.ts';
export type { Verdict } from './usability.ts';
