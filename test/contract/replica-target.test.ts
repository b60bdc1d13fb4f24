/** Goal: etcd, and the fake that other tests lean on, keep the contract of a replica target. */
import { afterAll, beforeAll, describe } from 'vitest';
import { openTarget } from '../../src/sync/index.ts';
import { serverMissing, startEtcd, type Etcd } from '../servers/index.ts';
import { MemoryRemote } from '../support/memory-target.ts';
import { replicaTargetContract } from './replica-target.ts';
import { freeze } from '../support/freeze.ts';

const memory = new MemoryRemote();
replicaTargetContract('memory', () => ({
  open: async (place) => memory.open(place),
  meddle: async (key, value) => memory.put(key, value),
  hang: () => memory.hang(),
}));

const missing = serverMissing('etcd');
describe.skipIf(missing !== undefined)(`the real server ${missing ?? ''}`, () => {
  let etcd: Etcd;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd?.stop());

  replicaTargetContract('etcd', () => ({
    open: (place) => openTarget({ id: 'etcd', type: 'etcd', endpoints: [etcd.endpoint] }, place),
    meddle: async (key, value) => {
      const change = value ? ['put', key, Buffer.from(value).toString()] : ['del', key];
      await etcd.etcdctl(change);
    },
    hang: async () => {
      await freeze(etcd.pid);
      return () => process.kill(etcd.pid, 'SIGCONT');
    },
  }));
});
