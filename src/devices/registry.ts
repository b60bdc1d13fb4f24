import { isDeepStrictEqual } from 'node:util';
import { distance } from 'fastest-levenshtein';
import { HoldfastError } from '../base/errors.ts';
import { assemble } from './assemble.ts';
import type { Device } from './device.ts';
import type { HostIdentity } from './host.ts';
import { IGNORED_BY_DEFAULT, observe, type IgnoreClass } from './observe.ts';
import { blkidProbe, type SuperblockProbe } from './sources/blkid.ts';
import { Superblocks } from './sources/superblocks.ts';
import { Tree } from './sources/tree.ts';

/**
 * Where the devices folder keeps what it knows, supplied by the agent (this folder doesn't know the
 * engine). Called only when something changed.
 */
export interface FactStore {
  loadDevices(): Promise<readonly Device[]>;
  saveDevice(device: Device): Promise<void>;
  loadHost(): Promise<HostIdentity | undefined>;
  saveHost(host: HostIdentity): Promise<void>;
}

export type DeviceEvent = {
  readonly type: 'appeared' | 'returned' | 'changed' | 'disappeared';
  readonly device: Device;
};

/** What the faces see of the devices. */
export interface Devices {
  list(): readonly Device[];
  /** By id or kernel name. @throws NotFound */
  get(ref: string): Device;
  /** One pass over sysfs now; stores only what changed; returns the events it led to. */
  scan(): Promise<readonly DeviceEvent[]>;
}

export interface DeviceRegistryOptions {
  readonly store: FactStore;
  /** Where `sys`, `proc`, `run` and `etc` are; tests give a recorded tree. Default `/`. */
  readonly root?: string;
  /** Default: `ram` disks, and loop and nbd numbers with nothing attached. */
  readonly ignore?: readonly IgnoreClass[];
  /** Default: blkid on the real root, none on a recorded tree (its names are another host's). */
  readonly probe?: SuperblockProbe;
}

/** Writes in flight at a time: the engine syncs them as one group, and memory stays small on the first scan of a big host. */
const SAVES_AT_ONCE = 64;
const NEAREST_NAMES_MAX = 3;

/**
 * What is known of the host's devices, present or not. A scan is the truth; what it changes is in
 * the store before anybody hears of it.
 */
export class DeviceRegistry implements Devices {
  readonly #store: FactStore;
  readonly #tree: Tree;
  readonly #ignore: ReadonlySet<IgnoreClass>;
  readonly #superblocks: Superblocks;
  readonly #listeners = new Set<(event: DeviceEvent) => void>();
  #known: ReadonlyMap<string, Device> = new Map();
  #running: Promise<readonly DeviceEvent[]> | undefined;

  constructor({ store, root = '/', ignore = IGNORED_BY_DEFAULT, probe }: DeviceRegistryOptions) {
    this.#store = store;
    this.#tree = new Tree(root);
    this.#ignore = new Set(ignore);
    this.#superblocks = new Superblocks(probe ?? (root === '/' ? blkidProbe : undefined));
  }

  /** What the store knows, before the first scan: a device that isn't there any more is not new when it returns. */
  async load(): Promise<void> {
    const devices = await this.#store.loadDevices();
    this.#known = new Map(devices.map((device) => [device.id, device]));
  }

  list(): readonly Device[] {
    return [...this.#known.values()].sort(byName);
  }

  get(ref: string): Device {
    const device =
      this.#known.get(ref) ?? this.list().find((one) => one.present && isNamed(one, ref));
    if (device) return device;
    throw new HoldfastError('NotFound', `no device ${JSON.stringify(ref)} on this host`, {
      hint: this.#nearest(ref),
    });
  }

  /** Called after each change is stored, in the order of the scan. @returns the way to stop it. */
  subscribe(listener: (event: DeviceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Joins a scan that is running: two never overlap. @throws HostFailed; whatever the store throws */
  scan(): Promise<readonly DeviceEvent[]> {
    this.#running ??= this.#scan().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #scan(): Promise<readonly DeviceEvent[]> {
    const present = assemble(await observe(this.#tree, this.#superblocks, this.#ignore));
    const events = compare(this.#known, present);
    const done: DeviceEvent[] = [];
    for (let from = 0; from < events.length; from += SAVES_AT_ONCE) {
      const batch = events.slice(from, from + SAVES_AT_ONCE);
      const saves = await Promise.allSettled(
        batch.map(({ device }) => this.#store.saveDevice(device)),
      );
      const saved = batch.filter((_, index) => saves[index]!.status === 'fulfilled');
      this.#adopt(saved);
      done.push(...saved);
      const failed = saves.find((save) => save.status === 'rejected');
      // What wasn't stored is still unknown to us: the next scan finds the same change again.
      if (failed) throw failed.reason;
    }
    return done;
  }

  #adopt(events: readonly DeviceEvent[]): void {
    if (events.length === 0) return;
    const known = new Map(this.#known);
    for (const { device } of events) known.set(device.id, device);
    this.#known = known;
    for (const event of events) for (const listener of this.#listeners) listener(event);
  }

  #nearest(ref: string): string {
    const names = this.list().flatMap(({ id, name, present }) => (present ? [name, id] : [id]));
    if (names.length === 0) return 'No device is known yet; scan first.';
    const ranked = names
      .map((name) => ({ name, distance: distance(ref, name) }))
      .sort((a, b) => a.distance - b.distance)
      .slice(0, NEAREST_NAMES_MAX);
    return `Nearest: ${ranked.map(({ name }) => name).join(', ')}`;
  }
}

/** What a scan's devices mean for what was known. Absence is not deletion. */
function compare(known: ReadonlyMap<string, Device>, present: readonly Device[]): DeviceEvent[] {
  const events: DeviceEvent[] = [];
  const seen = new Set<string>();
  for (const device of present) {
    seen.add(device.id);
    const before = known.get(device.id);
    if (!before) events.push({ type: 'appeared', device });
    else if (!before.present) events.push({ type: 'returned', device });
    else if (!isDeepStrictEqual(before, device)) events.push({ type: 'changed', device });
  }
  for (const before of known.values()) {
    if (before.present && !seen.has(before.id)) {
      events.push({ type: 'disappeared', device: asAbsent(before) });
    }
  }
  return events;
}

/** What it was stays; what it was part of no longer holds. */
function asAbsent(device: Device): Device {
  return { ...device, present: false, mountPoints: [], children: [], holders: [], slaves: [] };
}

function isNamed({ name, path }: Device, ref: string): boolean {
  return name === ref || path === ref;
}

/** `sda2` before `sda10`; absent ones after the present. */
function byName(a: Device, b: Device): number {
  if (a.present !== b.present) return a.present ? -1 : 1;
  return NATURAL_ORDER.compare(a.name, b.name) || (a.id < b.id ? -1 : 1);
}

const NATURAL_ORDER = new Intl.Collator('en', { numeric: true });
