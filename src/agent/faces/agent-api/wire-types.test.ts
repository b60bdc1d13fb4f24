import { test } from 'vitest';
import type {
  ClaimState,
  Device,
  DeviceEvent,
  HostFacts,
  HostIdentity,
  Verdict,
} from '../../../devices/index.ts';
import type { Compaction, EngineStats, LeaseStatus } from '../../../engine/index.ts';
import type { SyncStatus } from '../../../sync/index.ts';
import type { CreateRequest, ServiceConfig, Volume } from '../../../volumes/index.ts';
import type { AgentEvent } from '../../agent.ts';
import type {
  CompactReply,
  CreateVolumeRequest,
  DeviceBody,
  DeviceEventBody,
  EventBody,
  HostReply,
  KvStatsReply,
  LeaseBody,
  ServiceBody,
  SyncBody,
  VolumeBody,
} from './schema.ts';

/**
 * Goal: our nouns and their bodies on the wire can't drift apart; tsc fails when they do. An answer is
 * serialized by its schema: a member that the schema lacks would silently not be sent.
 */
type Keys<T> = T extends readonly (infer Item)[]
  ? Keys<Item>
  : T extends object
    ? string extends keyof T
      ? 'map'
      : { [Key in keyof T]-?: Keys<NonNullable<T[Key]>> }
    : 'leaf';
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type SameKeys<A, B> = Same<Keys<A>, Keys<B>>;

const volume: SameKeys<Volume, VolumeBody> = true;
const create: SameKeys<CreateRequest, CreateVolumeRequest> = true;
const service: SameKeys<ServiceConfig, ServiceBody> = true;
const device: SameKeys<Device & { verdict: Verdict; claim: ClaimState }, DeviceBody> = true;
const deviceEvent: SameKeys<DeviceEvent, DeviceEventBody> = true;
const host: SameKeys<{ identity: HostIdentity; facts: HostFacts }, HostReply> = true;
const sync: SameKeys<SyncStatus, SyncBody> = true;
const event: SameKeys<AgentEvent, EventBody> = true;
const stats: SameKeys<EngineStats & { incarnation: string }, KvStatsReply> = true;
const compaction: SameKeys<Compaction & { revision: number }, CompactReply> = true;
const lease: SameKeys<LeaseStatus, LeaseBody> = true;

test('nouns and bodies have the same members', ({ expect }) => {
  const all = [
    volume,
    create,
    service,
    device,
    deviceEvent,
    host,
    sync,
    event,
    stats,
    compaction,
    lease,
  ];
  expect(all).not.toContain(false);
});
