import type { Engine } from '../engine/index.ts';
import type { Devices, HostFacts, HostIdentity } from '../devices/index.ts';
import type { SyncStatus } from '../sync/index.ts';
import type { Volumes } from '../volumes/index.ts';
import type { ServiceHealth } from './service.ts';

/**
 * `starting`: local things aren't served yet. `ready`: they are. `degraded`: they are, but something
 * named in `reasons` needs a person. `stopping`: SIGTERM came. Offline is not degraded.
 */
export type AgentState = 'starting' | 'ready' | 'degraded' | 'stopping';

/** What `subscribe` tells of; volumes, devices and keys are watched in the engine instead. */
export type ChangedPart = 'state' | 'sync' | 'info';

/** What a face may use of the agent; faces know nothing else and never each other. */
export interface Agent {
  readonly version: string;
  /** `<boot id>.<start number>`: tells one run from the next. */
  readonly epoch: string;
  readonly startedAt: string;
  readonly identity: HostIdentity;
  readonly hostFacts: HostFacts;
  readonly engine: Engine;
  readonly devices: Devices;
  readonly volumes: Volumes;
  readonly events: EventRing;
  state(): {
    readonly state: AgentState;
    readonly since: string;
    readonly reasons: readonly string[];
  };
  services(): readonly ServiceHealth[];
  sync(): readonly SyncStatus[];
  /** The MQTT feed; undefined when none is configured. */
  feed(): FeedStatus | undefined;
  /** Calls back, at once and in the same tick, when a part has changed. @returns the way to stop it */
  subscribe(listener: (part: ChangedPart) => void): () => void;
}

export interface FeedStatus {
  readonly state: 'connecting' | 'connected' | 'offline' | 'refused' | 'stopped';
  readonly lastError?: string;
}

export interface AgentEvent {
  /** From 1, without gaps, over restarts: a reader sees what it missed. */
  readonly seq: number;
  /** e.g. `volume.mounted`, `device.disappeared`, `sync.offline`, `agent.ready` */
  readonly type: string;
  readonly at: string;
  readonly epoch: string;
  /** Id of the thing it is about. */
  readonly subject: string;
  readonly message: string;
  readonly data?: unknown;
}

/** The last events, in the engine (`events/<seq>`), bounded in number. */
export interface EventRing {
  append(event: Omit<AgentEvent, 'seq' | 'at' | 'epoch'>): Promise<AgentEvent>;
  /** Events after `seq`, oldest first. */
  after(seq: number, limit: number): Promise<readonly AgentEvent[]>;
  /** Number of the last event; 0 when there never was one. */
  last(): Promise<number>;
}
