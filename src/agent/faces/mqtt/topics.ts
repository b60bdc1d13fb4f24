import type { AgentEvent, AgentState } from '../../agent.ts';
import type { Device, HostFacts } from '../../../devices/index.ts';
import type { SyncStatus } from '../../../sync/index.ts';
import type { Attachment, DriverName, FsType, VolumePhase } from '../../../volumes/index.ts';

/**
 * The wire: every topic under `<root>/<replicaId>/` with its payload, UTF-8 JSON, QoS 1. All but
 * `events` are retained; an empty payload removes a document. docs/mqtt.md shows each as it was seen.
 */
export interface Wire {
  state: StatePayload;
  info: InfoPayload;
  sync: SyncPayload;
  [device: `devices/${string}`]: DevicePayload;
  [volume: `volumes/${string}`]: VolumePayload;
  events: EventPayload;
}

/**
 * Life of the agent. `lost` is the broker's word (the will): nothing was heard of this agent. One of
 * another epoch is about an earlier run. `stopping` with no `lost` after it: it stopped cleanly.
 */
export interface StatePayload {
  readonly state: AgentState | 'lost';
  /** `<boot id>.<start number>` of the run that speaks. */
  readonly epoch: string;
  readonly version: string;
  /** ISO 8601; absent in `lost`, which was written before it happened. */
  readonly since?: string;
  /** Why it is degraded; empty otherwise. */
  readonly reasons?: readonly string[];
}

export interface InfoPayload {
  readonly replicaId: string;
  readonly mintedAt: string;
  readonly version: string;
  readonly epoch: string;
  readonly startedAt: string;
  readonly host: HostFacts;
  /** Configured volume services; paths stay on the host. */
  readonly services: readonly { readonly name: string; readonly driver: DriverName }[];
}

export interface SyncPayload {
  /** Empty: no target configured. */
  readonly targets: readonly SyncStatus[];
}

/** What one device is and where it is; gone and forgotten = empty payload, unplugged = `present: false`. */
export type DevicePayload = Pick<
  Device,
  | 'id'
  | 'identity'
  | 'name'
  | 'path'
  | 'kind'
  | 'sizeBytes'
  | 'rotational'
  | 'readOnly'
  | 'removable'
  | 'model'
  | 'serial'
  | 'wwid'
  | 'fileSystem'
  | 'mountPoints'
  | 'parent'
  | 'present'
  | 'quarantine'
>;

export interface VolumePayload {
  readonly id: string;
  /** For people; the topic has the id. */
  readonly name: string;
  readonly service: string;
  readonly driver: DriverName;
  readonly sizeBytes: number;
  readonly fsType?: FsType;
  readonly mountAtBoot: boolean;
  readonly createdAt: string;
  readonly phase: VolumePhase;
  readonly device?: string;
  readonly mountPoint?: string;
  readonly attachments: readonly Pick<Attachment, 'instanceId' | 'deviceName' | 'attachedAt'>[];
  readonly condition?: { readonly code: string; readonly message: string; readonly since: string };
}

/** Numbered without gaps over restarts; a number seen twice is the same event delivered twice. */
export type EventPayload = AgentEvent;

/** A retained topic below the replica's own: what carries a dirty bit. */
export type DocumentTopic = Exclude<keyof Wire, 'events'>;

/** A document that comes and goes. */
export type Thing = `devices/${string}` | `volumes/${string}`;

/** The topic names of one replica. Root and replica id were checked: neither holds `/`, `+` or `#`. */
export class Topics {
  readonly #base: string;

  constructor(root: string, replicaId: string) {
    this.#base = `${root}/${replicaId}`;
  }

  /** `<root>/<replicaId>/<topic>`, of a document, the events, or a filter like `volumes/+`. */
  full(topic: string): string {
    return `${this.#base}/${topic}`;
  }

  /** The document a full topic names; undefined when it is none of ours. */
  document(full: string): DocumentTopic | undefined {
    if (!full.startsWith(`${this.#base}/`)) return undefined;
    const topic = full.slice(this.#base.length + 1);
    if (topic === 'state' || topic === 'info' || topic === 'sync') return topic;
    return isThing(topic) ? topic : undefined;
  }
}

/** Also the key of its record in the engine. */
export function isThing(topic: string): topic is Thing {
  return /^(devices|volumes)\/[^/]+$/.test(topic);
}
