import type { Agent } from '../../agent.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { Device } from '../../../devices/index.ts';
import type { Volume } from '../../../volumes/index.ts';
import {
  isThing,
  type DevicePayload,
  type DocumentTopic,
  type InfoPayload,
  type StatePayload,
  type SyncPayload,
  type VolumePayload,
} from './topics.ts';

/** Every document there is now. */
export async function documentTopics(agent: Agent): Promise<DocumentTopic[]> {
  const { kvs: devices } = await agent.engine.list('devices');
  const { kvs: volumes } = await agent.engine.list('volumes');
  return [
    'state',
    'info',
    'sync',
    ...[...devices, ...volumes].map(({ key }) => key).filter(isThing),
  ];
}

/** The document as it is now, as JSON; empty when the thing is gone, which clears the topic. */
export async function renderDocument(agent: Agent, topic: DocumentTopic): Promise<string> {
  const payload = await currentPayload(agent, topic);
  return payload === undefined ? '' : JSON.stringify(payload);
}

async function currentPayload(agent: Agent, topic: DocumentTopic): Promise<object | undefined> {
  if (topic === 'state') return statePayload(agent);
  if (topic === 'info') return infoPayload(agent);
  if (topic === 'sync') return { targets: agent.sync() } satisfies SyncPayload;
  if (topic.startsWith('devices/')) {
    const device = await findDevice(agent, topic);
    return device && devicePayload(device);
  }
  const volume = await findVolume(agent, topic.slice('volumes/'.length));
  return volume && volumePayload(volume);
}

function statePayload(agent: Agent): StatePayload {
  const { state, since, reasons } = agent.state();
  return { state, epoch: agent.epoch, version: agent.version, since, reasons };
}

/** What the broker says when it hears no more of us. */
export function lostPayload({ epoch, version }: Agent): string {
  return JSON.stringify({ state: 'lost', epoch, version } satisfies StatePayload);
}

/** The last word of a feed that ends in order. */
export function stoppingPayload({ epoch, version }: Agent, since: string): string {
  const payload: StatePayload = { state: 'stopping', epoch, version, since, reasons: [] };
  return JSON.stringify(payload);
}

/** True when it is the word of a living agent of our name that isn't this run; a will is nobody's word. */
export function isAnotherRuns(payload: Buffer, { epoch }: Agent): boolean {
  try {
    const said = JSON.parse(payload.toString('utf8')) as Partial<StatePayload> | null;
    return said?.epoch !== undefined && said.epoch !== epoch && said.state !== 'lost';
  } catch {
    return false;
  }
}

function infoPayload(agent: Agent): InfoPayload {
  return {
    replicaId: agent.identity.replicaId,
    mintedAt: agent.identity.mintedAt,
    version: agent.version,
    epoch: agent.epoch,
    startedAt: agent.startedAt,
    host: agent.hostFacts,
    services: agent.volumes.services.map(({ name, driver }) => ({ name, driver })),
  };
}

function devicePayload(device: Device): DevicePayload {
  const { id, identity, name, path, kind, sizeBytes, rotational, readOnly, removable } = device;
  const { model, serial, wwid, fileSystem, mountPoints, parent, present, quarantine } = device;
  const what = { id, identity, name, path, kind, sizeBytes, rotational, readOnly, removable };
  return { ...what, model, serial, wwid, fileSystem, mountPoints, parent, present, quarantine };
}

function volumePayload({ spec, status }: Volume): VolumePayload {
  const { id, name, service, driver, sizeBytes, fsType, mountAtBoot, createdAt } = spec;
  const { phase, device, mountPoint, condition } = status;
  const attachments = status.attachments.map(({ instanceId, deviceName, attachedAt }) => ({
    instanceId,
    deviceName,
    attachedAt,
  }));
  const asked = { id, name, service, driver, sizeBytes, fsType, mountAtBoot, createdAt };
  return { ...asked, phase, device, mountPoint, attachments, condition };
}

/** From the engine, which told us of the change: the registry hears of it a moment later. */
async function findDevice({ engine }: Agent, key: string): Promise<Device | undefined> {
  const kv = await engine.get(key);
  return kv && (JSON.parse(Buffer.from(kv.value).toString('utf8')) as Device);
}

async function findVolume(agent: Agent, id: string): Promise<Volume | undefined> {
  try {
    const volume = await agent.volumes.get(id);
    // `get` also finds by name, and somebody may have named a volume like the id of one that is gone.
    return volume.spec.id === id ? volume : undefined;
  } catch (thrown) {
    if (thrown instanceof HoldfastError && thrown.code === 'NotFound') return undefined;
    throw thrown;
  }
}
