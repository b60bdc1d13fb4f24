import type { Device } from './device.ts';
import type { HostIdentity } from './host.ts';

/**
 * Where the devices folder keeps what it knows, supplied by the agent (this folder doesn't know the
 * engine). Called only when something changed.
 */
export interface FactStore {
  loadDevices(): Promise<readonly Device[]>;
  saveDevice(device: Device): Promise<void>;
  loadHost(): Promise<HostIdentity | undefined>;
  saveHost(host: HostIdentity): Promise<void>;
}

export type DeviceEvent = {
  readonly type: 'appeared' | 'returned' | 'changed' | 'disappeared';
  readonly device: Device;
};

/** What the faces see of the devices. */
export interface Devices {
  list(): readonly Device[];
  /** By id or kernel name. @throws NotFound */
  get(ref: string): Device;
  /** One pass over sysfs now; stores only what changed; returns the events it led to. */
  scan(): Promise<readonly DeviceEvent[]>;
}
