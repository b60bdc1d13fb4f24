/** Goal: what can be applied live is, what can't keeps its old value, and nothing else is touched. */
import { describe, expect, it } from 'vitest';
import type { Config } from './config.ts';
import { diffConfig } from './diff.ts';

const RUNNING: Config = {
  engine: { backend: 'sqlite', historyHours: 24 },
  http: { group: 'disk' },
  log: { level: 'info' },
  devices: { rescanSeconds: 60, ignore: ['ram'] },
  volumes: {
    services: [
      { name: 'dir', driver: 'dir', path: '/v/dir' },
      { name: 'loop', driver: 'loop', path: '/v/loop', fsType: 'ext4' },
    ],
    bootDeadlineSeconds: 30,
  },
  sync: { root: 'holdfast', targets: [{ id: 'etcd', type: 'etcd', endpoints: ['a:1'] }] },
  mqtt: { url: 'mqtt://h', root: 'holdfast', keepaliveSeconds: 30 },
};

function withServices(...services: Config['volumes']['services']): Config {
  return { ...RUNNING, volumes: { ...RUNNING.volumes, services } };
}

const [DIR, LOOP] = RUNNING.volumes.services as [
  Config['volumes']['services'][0],
  Config['volumes']['services'][0],
];

describe('diffConfig', () => {
  it('finds nothing in an equal configuration', () => {
    const diff = diffConfig(RUNNING, structuredClone(RUNNING));
    expect(diff).toEqual({ live: [], restart: [], effective: RUNNING });
  });

  it('applies at once what can be', () => {
    const wanted: Config = {
      ...RUNNING,
      log: { level: 'debug' },
      devices: { rescanSeconds: 5, ignore: ['ram'] },
      sync: { ...RUNNING.sync, targets: [] },
      mqtt: undefined,
    };
    const { live, restart, effective } = diffConfig(RUNNING, wanted);
    expect(live).toEqual(['log.level', 'devices.rescanSeconds', 'sync.targets', 'mqtt']);
    expect(restart).toEqual([]);
    expect(effective).toEqual({ ...wanted, mqtt: undefined });
    expect('mqtt' in effective).toBe(false);
  });

  it('keeps the old value of what waits for the next start', () => {
    const wanted: Config = {
      ...RUNNING,
      engine: { backend: 'lmdb', historyHours: 24 },
      http: { listen: '127.0.0.1:1' },
      devices: { ...RUNNING.devices, ignore: [] },
      volumes: { ...RUNNING.volumes, bootDeadlineSeconds: 5 },
      sync: { ...RUNNING.sync, root: 'other' },
    };
    const { live, restart, effective } = diffConfig(RUNNING, wanted);
    expect(live).toEqual([]);
    expect(restart).toEqual([
      'engine.backend',
      'http.listen',
      'http.group',
      'devices.ignore',
      'volumes.bootDeadlineSeconds',
      'sync.root',
    ]);
    expect(effective).toEqual(RUNNING);
  });

  it.each<[string, Config, string[], boolean, boolean]>([
    [
      'a new one is added',
      withServices(DIR, LOOP, { ...DIR, name: 'b', path: '/b' }),
      ['dir', 'loop', 'b'],
      true,
      false,
    ],
    ['a removed one stays', withServices(DIR), ['dir', 'loop'], false, true],
    [
      'a changed one stays as it is',
      withServices(DIR, { ...LOOP, fsType: 'xfs' }),
      ['dir', 'loop'],
      false,
      true,
    ],
    [
      'one of the same name but for case waits',
      withServices(DIR, LOOP, { ...DIR, name: 'DIR', path: '/b' }),
      ['dir', 'loop'],
      false,
      true,
    ],
    [
      'one in the folder of another waits',
      withServices(DIR, { ...LOOP, name: 'renamed' }),
      ['dir', 'loop'],
      false,
      true,
    ],
    [
      'one is added though another has to wait',
      withServices(DIR, { ...DIR, name: 'b', path: '/b' }),
      ['dir', 'loop', 'b'],
      true,
      true,
    ],
  ])('services: %s', (_what, wanted, names, isLive, waits) => {
    const { live, restart, effective } = diffConfig(RUNNING, wanted);
    expect(effective.volumes.services.map(({ name }) => name)).toEqual(names);
    expect(effective.volumes.services.slice(0, 2)).toEqual([DIR, LOOP]);
    expect(live).toEqual(isLive ? ['volumes.services'] : []);
    expect(restart).toEqual(waits ? ['volumes.services'] : []);
  });

  it('comes to rest: what was applied is no difference the next time', () => {
    const wanted = withServices(DIR, LOOP, { ...DIR, name: 'b', path: '/b' });
    const { effective } = diffConfig(RUNNING, wanted);
    expect(diffConfig(effective, wanted)).toMatchObject({ live: [], restart: [] });
  });
});
