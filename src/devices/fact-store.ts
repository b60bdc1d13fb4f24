import type { ClaimStore } from './claims.ts';
import type { Device } from './device.ts';
import type { HostIdentity } from './host.ts';

/**
 * Where the devices folder keeps what it knows, supplied by the agent (this folder doesn't know the
 * engine). Called only when something changed.
 */
export interface FactStore extends ClaimStore {
  loadDevices(): Promise<readonly Device[]>;
  saveDevice(device: Device): Promise<void>;
  deleteDevice(id: string): Promise<void>;
  loadHost(): Promise<HostIdentity | undefined>;
  saveHost(host: HostIdentity): Promise<void>;
}
