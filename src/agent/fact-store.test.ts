/** Goal: what was saved comes back as it was, after a restart of the engine too, each at its own key. */
import { expect, it } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import type { Claim, Device, HostIdentity } from '../devices/index.ts';
import { openEngine } from '../engine/index.ts';
import { engineFactStore } from './fact-store.ts';

const HOST: HostIdentity = {
  replicaId: '01900000-0000-7000-8000-000000000001',
  mintedAt: '2026-01-01T00:00:00.000Z',
  fingerprint: { macs: ['02:00:00:00:00:01'] },
};

function device(id: string): Device {
  // The store keeps what it is given: only the id matters to it.
  return { id, name: 'sda', model: 'Größe "1"', present: true } as unknown as Device;
}

function claim(device: string): Claim {
  const identity = { scheme: 'serial', value: 'a|1', confidence: 'low' } as const;
  return { device, owner: 'me', identity, bootId: 'b', claimedAt: '2026-01-01T00:00:00.000Z' };
}

it('keeps devices, claims and the host', async () => {
  const path = tempDir('facts');
  const engine = await openEngine({ backend: 'sqlite', path });
  const store = engineFactStore(engine);
  expect([await store.loadHost(), await store.loadDevices()]).toEqual([undefined, []]);
  await store.saveHost(HOST);
  await store.saveDevice(device('b'));
  await store.saveDevice(device('a'));
  await store.saveDevice(device('b'));
  await store.saveDevice(device('c'));
  await store.deleteDevice('c');
  await store.deleteDevice('never');
  await store.saveClaim(claim('a'));
  await store.saveClaim(claim('b'));
  await store.deleteClaim('b');
  await engine.close();

  const again = await openEngine({ backend: 'sqlite', path });
  const loaded = engineFactStore(again);
  expect(await loaded.loadHost()).toEqual(HOST);
  expect(await loaded.loadDevices()).toEqual([device('a'), device('b')]);
  expect(await loaded.loadClaims()).toEqual([claim('a')]);
  const keys = (await again.list('')).kvs.map(({ key }) => key);
  expect(keys).toEqual(['claims/a', 'devices/a', 'devices/b', 'host/identity']);
  await again.close();
});
