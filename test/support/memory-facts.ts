import type { Claim, Device, FactStore, HostIdentity } from '../../src/devices/index.ts';

/** A fact store that forgets with the test; keeps JSON, as the engine's does, and counts what it is asked to save. */
export class MemoryFacts implements FactStore {
  readonly devices = new Map<string, string>();
  readonly claims = new Map<string, string>();
  /** Ids in the order they were saved. */
  readonly saves: string[] = [];
  hostSaves = 0;
  /** Which saves are refused, as by a full disk. */
  refuse: (device: Device) => boolean = () => false;
  refuseDelete = false;
  #host: string | undefined;

  async loadDevices(): Promise<Device[]> {
    return [...this.devices.values()].map((json) => JSON.parse(json) as Device);
  }

  async saveDevice(device: Device): Promise<void> {
    if (this.refuse(device)) throw new Error(`refused: ${device.id}`);
    this.devices.set(device.id, JSON.stringify(device));
    this.saves.push(device.id);
  }

  async deleteDevice(id: string): Promise<void> {
    if (this.refuseDelete) throw new Error(`refused: ${id}`);
    this.devices.delete(id);
  }

  async loadClaims(): Promise<Claim[]> {
    return [...this.claims.values()].map((json) => JSON.parse(json) as Claim);
  }

  async saveClaim(claim: Claim): Promise<void> {
    this.claims.set(claim.device, JSON.stringify(claim));
  }

  async deleteClaim(device: string): Promise<void> {
    if (this.refuseDelete) throw new Error(`refused: ${device}`);
    this.claims.delete(device);
  }

  async loadHost(): Promise<HostIdentity | undefined> {
    return this.#host === undefined ? undefined : (JSON.parse(this.#host) as HostIdentity);
  }

  async saveHost(host: HostIdentity): Promise<void> {
    this.#host = JSON.stringify(host);
    this.hostSaves += 1;
  }
}
