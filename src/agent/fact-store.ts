import type { Claim, Device, FactStore, HostIdentity } from '../devices/index.ts';
import type { Engine } from '../engine/index.ts';

const DEVICES = 'devices';
const CLAIMS = 'claims';
const HOST = 'host/identity';

/** Keeps the devices' facts, the claims on them and the host's identity in the engine, as JSON. */
export function engineFactStore(engine: Engine): FactStore {
  return {
    async loadDevices() {
      const { kvs } = await engine.list(DEVICES);
      return kvs.map((kv) => decode<Device>(kv.value));
    },
    async saveDevice(device) {
      await engine.put(`${DEVICES}/${device.id}`, encode(device));
    },
    async deleteDevice(id) {
      await engine.txn([], [{ type: 'delete', key: `${DEVICES}/${id}` }]);
    },
    async loadClaims() {
      const { kvs } = await engine.list(CLAIMS);
      return kvs.map((kv) => decode<Claim>(kv.value));
    },
    async saveClaim(claim) {
      await engine.put(`${CLAIMS}/${claim.device}`, encode(claim));
    },
    async deleteClaim(device) {
      await engine.txn([], [{ type: 'delete', key: `${CLAIMS}/${device}` }]);
    },
    async loadHost() {
      const kv = await engine.get(HOST);
      return kv && decode<HostIdentity>(kv.value);
    },
    async saveHost(host) {
      await engine.put(HOST, encode(host));
    },
  };
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as T;
}
