import type { Devices, HostFacts, HostIdentity } from '../devices/index.ts';
import type { Engine } from '../engine/index.ts';
import type { SyncStatus } from '../sync/index.ts';
import type { Volumes } from '../volumes/index.ts';
import type { Agent, AgentState, ChangedPart, EventRing, FeedStatus } from './agent.ts';
import type { ServiceHealth, ServiceRunner } from './service.ts';
import { VERSION } from './version.ts';

export interface CoreParts {
  readonly epoch: string;
  readonly identity: HostIdentity;
  readonly hostFacts: HostFacts;
  readonly engine: Engine;
  readonly devices: Devices;
  readonly volumes: Volumes;
  readonly events: EventRing;
  readonly runner: ServiceRunner;
}

/** The agent as its faces see it: the parts, and one state with the reasons for it. */
export class AgentCore implements Agent {
  readonly version = VERSION;
  readonly startedAt = new Date().toISOString();
  readonly epoch: string;
  readonly identity: HostIdentity;
  readonly engine: Engine;
  readonly devices: Devices;
  readonly volumes: Volumes;
  readonly events: EventRing;
  readonly #runner: ServiceRunner;
  readonly #listeners = new Set<(part: ChangedPart) => void>();
  /** What needs a person, by the thing it is about. */
  readonly #reasons = new Map<string, string>();
  readonly #targets = new Map<string, () => SyncStatus>();
  #feed: FeedStatus | undefined;
  #hostFacts: HostFacts;
  #phase: 'starting' | 'running' | 'stopping' = 'starting';
  #shown: AgentState = 'starting';
  #since = this.startedAt;

  constructor(parts: CoreParts) {
    this.epoch = parts.epoch;
    this.identity = parts.identity;
    this.engine = parts.engine;
    this.devices = parts.devices;
    this.volumes = parts.volumes;
    this.events = parts.events;
    this.#runner = parts.runner;
    this.#hostFacts = parts.hostFacts;
  }

  get hostFacts(): HostFacts {
    return this.#hostFacts;
  }

  setHostFacts(facts: HostFacts): void {
    this.#hostFacts = facts;
    this.changed('info');
  }

  state(): { state: AgentState; since: string; reasons: string[] } {
    return { state: this.#shown, since: this.#since, reasons: [...this.#reasons.values()] };
  }

  enter(phase: 'running' | 'stopping'): void {
    this.#phase = phase;
    this.#show();
  }

  /** States or, with undefined, takes back why the agent is degraded because of `subject`. */
  setReason(subject: string, reason: string | undefined): void {
    if (this.#reasons.get(subject) === reason) return;
    if (reason === undefined) this.#reasons.delete(subject);
    else this.#reasons.set(subject, reason);
    this.#show();
  }

  services(): ServiceHealth[] {
    return this.#runner.health();
  }

  sync(): SyncStatus[] {
    return [...this.#targets.values()].map((status) => status());
  }

  /** Adds a target's status, or with undefined takes it away. */
  setTarget(id: string, status: (() => SyncStatus) | undefined): void {
    if (status === undefined) this.#targets.delete(id);
    else this.#targets.set(id, status);
    this.changed('sync');
  }

  feed(): FeedStatus | undefined {
    return this.#feed;
  }

  setFeed(status: FeedStatus | undefined): void {
    this.#feed = status;
  }

  subscribe(listener: (part: ChangedPart) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(part: ChangedPart): void {
    for (const listener of this.#listeners) listener(part);
  }

  #show(): void {
    const running = this.#reasons.size === 0 ? 'ready' : 'degraded';
    const state = this.#phase === 'running' ? running : this.#phase;
    if (state !== this.#shown) {
      this.#shown = state;
      this.#since = new Date().toISOString();
    }
    this.changed('state');
  }
}
