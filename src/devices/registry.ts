import { distance } from 'fastest-levenshtein';
import { systemClock, type Clock } from '../base/clock.ts';
import { HoldfastError } from '../base/errors.ts';
import { KeyedLock } from '../base/keyed-lock.ts';
import { assemble } from './assemble.ts';
import { Claims, type Claim, type ClaimRequest } from './claims.ts';
import { compare, type DeviceEvent } from './compare.ts';
import type { Device } from './device.ts';
import type { ClaimState, Devices } from './devices.ts';
import type { FactStore } from './fact-store.ts';
import { withoutUnknown } from './known.ts';
import { IGNORED_BY_DEFAULT, observe, type IgnoreClass } from './observe.ts';
import { recognise } from './recognise.ts';
import { blkidProbe, type SuperblockProbe } from './sources/blkid.ts';
import { Slices } from './sources/slices.ts';
import { Superblocks } from './sources/superblocks.ts';
import { Tree } from './sources/tree.ts';
import { judge, type User, type Verdict } from './usability.ts';

export interface DeviceRegistryOptions {
  readonly store: FactStore;
  /** Where `sys`, `proc`, `run` and `etc` are; tests give a recorded tree. Default `/`. */
  readonly root?: string;
  /** Default: `ram` disks, and loop and nbd numbers with nothing attached. */
  readonly ignore?: readonly IgnoreClass[];
  /** Default: blkid on the real root, none on a recorded tree (its names are another host's). */
  readonly probe?: SuperblockProbe;
  readonly clock?: Clock;
}

/** Writes in flight at a time: the engine syncs them as one group, and memory stays small on the first scan of a big host. */
const SAVES_AT_ONCE = 64;
const NEAREST_NAMES_MAX = 3;
/** The one key of the registry's lock: a record must not be deleted while a scan looks at it. */
const RECORDS = 'records';
const BOOT_ID = 'proc/sys/kernel/random/boot_id';

/**
 * What is known of the host's devices, present or not. A scan is the truth; what it changes is in
 * the store before anybody hears of it.
 */
export class DeviceRegistry implements Devices {
  readonly #store: FactStore;
  readonly #tree: Tree;
  readonly #ignore: ReadonlySet<IgnoreClass>;
  readonly #superblocks: Superblocks;
  readonly #clock: Clock;
  readonly #lock = new KeyedLock();
  readonly #claims: Claims;
  readonly #listeners = new Set<(event: DeviceEvent) => void>();
  #known: ReadonlyMap<string, Device> = new Map();
  /** A scan that was asked for and hasn't begun. */
  #next: Promise<readonly DeviceEvent[]> | undefined;

  constructor(options: DeviceRegistryOptions) {
    const { store, root = '/', ignore = IGNORED_BY_DEFAULT, probe, clock = systemClock } = options;
    this.#store = store;
    this.#clock = clock;
    this.#tree = new Tree(root);
    this.#ignore = new Set(ignore);
    this.#superblocks = new Superblocks(probe ?? (root === '/' ? blkidProbe : undefined), root);
    this.#claims = new Claims(store, clock, () => this.#tree.text(BOOT_ID) ?? '');
  }

  /** What the store knows, before the first scan: a device that isn't there any more is not new when it returns. */
  async load(): Promise<void> {
    const devices = await this.#store.loadDevices();
    this.#known = new Map(devices.map((device) => [device.id, { ...NOTHING_MORE, ...device }]));
    await this.#claims.load();
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

  /** One that is under way may have passed what the caller wants to see: all who ask before the next begins share that. */
  scan(): Promise<readonly DeviceEvent[]> {
    this.#next ??= this.#lock.run(RECORDS, () => {
      this.#next = undefined;
      return this.#scan();
    });
    return this.#next;
  }

  judge(device: Device, users: readonly User[] = []): Verdict {
    return judge(device, { users, owner: this.#claims.of(device)?.owner });
  }

  claimOf(device: Device): ClaimState | undefined {
    const claim = this.#claims.of(device);
    return claim && withoutUnknown({ ...claim, problem: this.#claims.problemOf(device) });
  }

  async claim(ref: string, request: ClaimRequest): Promise<ClaimState> {
    await this.scan();
    return this.#lock.run(RECORDS, async () => {
      const device = this.get(ref);
      const isNew = this.#claims.of(device) === undefined;
      const claim = await this.#claims.claim(device, request);
      const message = `${device.path} claimed by ${claim.owner}`;
      if (isNew) this.#tell({ type: 'claimed', device, message });
      return claim;
    });
  }

  release(ref: string, { owner, force }: { owner: string; force?: boolean }): Promise<void> {
    return this.#lock.run(RECORDS, async () => {
      const device = this.get(ref);
      const claim = await this.#claims.release(device, owner, force);
      const message = `${device.path} released, was claimed by ${claim.owner}`;
      this.#tell({ type: 'unclaimed', device, message });
    });
  }

  forget(ref: string): Promise<Device> {
    return this.#lock.run(RECORDS, async () => {
      const device = this.get(ref);
      const claim = this.#claims.of(device);
      if (device.present || device.quarantine) throw stillThere(device);
      if (claim) throw stillClaimed(device, claim);
      await this.#store.deleteDevice(device.id);
      const known = new Map(this.#known);
      known.delete(device.id);
      this.#known = known;
      this.#tell({ type: 'forgotten', device, message: `${device.id} forgotten` });
      return device;
    });
  }

  async #scan(): Promise<readonly DeviceEvent[]> {
    const observations = await observe(this.#tree, this.#superblocks, this.#ignore);
    const nowIso = new Date(this.#clock.wallMs()).toISOString();
    // Each step takes some 40 µs a device, and the main loop is not to wait for all three.
    const slices = new Slices();
    const present = assemble(observations, nowIso);
    await slices.breathe();
    const seen = recognise(this.#known.values(), present);
    await slices.breathe();
    const events = compare(this.#known, seen, nowIso);
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
    for (const event of events) this.#tell(event);
  }

  #tell(event: DeviceEvent): void {
    for (const listener of this.#listeners) listener(event);
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

/** What a record of an older agent doesn't have yet. */
const NOTHING_MORE = { recipe: 1, content: 'unread', swap: false, facts: [], history: [] } as const;

function stillThere({ path, id, quarantine }: Device): HoldfastError {
  const message = quarantine
    ? `${id} is claimed by ${quarantine.names.join(', ')}, which are there; nothing was forgotten`
    : `${path} (${id}) is there; nothing was forgotten`;
  return new HoldfastError('Conflict', message, {
    hint: 'only a device that is gone can be forgotten: the next scan would find it again',
  });
}

function stillClaimed({ id }: Device, { owner }: Claim): HoldfastError {
  return new HoldfastError('Conflict', `${id} is claimed by ${JSON.stringify(owner)}`, {
    hint: 'release it first: holdfast device release',
  });
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
