export type { Device, DeviceIdentity, DeviceKind } from './device.ts';
export type { HostFacts, HostFingerprint, HostIdentity } from './host.ts';
export { DeviceRegistry, type DeviceEvent, type Devices, type FactStore } from './registry.ts';
export { parseMountinfo, type MountEntry } from './sources/mountinfo.ts';
