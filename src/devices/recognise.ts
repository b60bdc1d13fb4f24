import { quarantined } from './assemble.ts';
import type { Device, Fact, FactName } from './device.ts';
import { valueOf } from './facts.ts';
import { deviceId } from './identity.ts';
import { isJunk, isJunkWwid } from './junk.ts';

/**
 * Each device of a scan under the id of the record it has. Pure.
 *
 * By its identity first. One that no record has may be known all the same: a kernel that now shows the wwid, a
 * disk that was enlarged, another firmware's model. Its facts and those of each record that isn't here under
 * its own identity then vote (`votesFor`); the record that wins alone is the device's.
 *
 * What has a `path` identity is known by its place only, on both sides.
 */
export function recognise(known: Iterable<Device>, seen: readonly Device[]): Device[] {
  const records = new Records(known);
  const owners = seen.map((device) => records.takeByIdentity(device));
  const left = byName(records.left().filter((record) => record.identity.scheme !== 'path'));
  for (const [index, device] of seen.entries()) {
    if (owners[index] || device.identity.scheme === 'path') continue;
    const candidates = namesOf(device).flatMap((name) => left.get(name) ?? []);
    const winner = winnerOf([...new Set(candidates)], device);
    if (winner && records.take(winner)) owners[index] = winner;
  }
  return seen.map((device, index) => {
    const owner = owners[index];
    if (owner) return { ...device, id: owner.id };
    const taken = records.holderOf(device.id);
    // A record keeps its id when its identity changes, so another device may come to that id by itself.
    return taken
      ? quarantined(device, { id: device.id, names: [taken.name, device.name] })
      : device;
  });
}

class Records {
  readonly #byIdentity = new Map<string, Device>();
  readonly #byId = new Map<string, Device>();
  readonly #taken = new Set<string>();

  constructor(known: Iterable<Device>) {
    for (const record of known) {
      this.#byId.set(record.id, record);
      const identity = deviceId(record.identity);
      if (identity === record.id || !this.#byIdentity.has(identity)) {
        this.#byIdentity.set(identity, record);
      }
    }
  }

  takeByIdentity({ id }: Device): Device | undefined {
    return this.take(this.#byIdentity.get(id)) ?? this.take(this.#byId.get(id));
  }

  /** The record, unless another device of this scan has it already. */
  take(record: Device | undefined): Device | undefined {
    if (!record || this.#taken.has(record.id)) return undefined;
    this.#taken.add(record.id);
    return record;
  }

  left(): Device[] {
    return [...this.#byId.values()].filter(({ id }) => !this.#taken.has(id));
  }

  holderOf(id: string): Device | undefined {
    return this.#taken.has(id) ? this.#byId.get(id) : undefined;
  }
}

/** Only who shares a name can win: a host with thousands of new disks asks few of thousands of records. */
function byName(records: readonly Device[]): Map<string, Device[]> {
  const index = new Map<string, Device[]>();
  for (const record of records) {
    for (const name of namesOf(record)) {
      const list = index.get(name);
      if (list) list.push(record);
      else index.set(name, [record]);
    }
  }
  return index;
}

function namesOf({ facts }: Device): string[] {
  return NAMES.flatMap((name) => {
    const value = tellingValue(facts, name);
    return value === undefined ? [] : [`${name} ${value}`];
  });
}

/** Undefined when none has a majority, and when two have the same. */
function winnerOf(records: readonly Device[], device: Device): Device | undefined {
  const votes = records
    .map((record) => ({ record, lead: votesFor(record, device) }))
    .filter(({ lead }) => lead > 0)
    .toSorted((a, b) => b.lead - a.lead);
  const [first, second] = votes;
  return first && first.lead !== second?.lead ? first.record : undefined;
}

/** What a maker or a program gave to one device alone. At least one of these must agree. */
const NAMES: readonly FactName[] = ['wwid', 'serial', 'dm-uuid', 'md-uuid'];
/** What a copy of the disk has too. */
const CONTENTS: readonly FactName[] = ['partition-table-uuid', 'content-uuid', 'content-sub-uuid'];
/** What many devices have in common: it speaks against when it differs, never for. */
const COMMON: readonly FactName[] = ['model', 'size'];

/** By how many facts more speak for it than against it; 0 or less: it is another one. Exported for its test. */
export function votesFor(record: Device, device: Device): number {
  if (record.kind !== device.kind) return 0;
  const names = NAMES.map((name) => voteOf(name, record, device));
  if (!names.includes(1)) return 0;
  const contents = CONTENTS.map((name) => voteOf(name, record, device));
  const common = COMMON.map((name) => Math.min(0, voteOf(name, record, device)));
  return [...names, ...contents, ...common].reduce((sum, vote) => sum + vote, 0);
}

/** 1 equal, -1 different, 0 when one of them doesn't know, or what it knows says nothing. */
function voteOf(name: FactName, record: Device, device: Device): number {
  const [was, is] = [record.facts, device.facts].map((facts) => tellingValue(facts, name));
  if (was === undefined || is === undefined) return 0;
  return was === is ? 1 : -1;
}

function tellingValue(facts: readonly Fact[], name: FactName): string | undefined {
  const value = valueOf(facts, name);
  if (value === undefined) return undefined;
  if (name === 'serial' && isJunk(value)) return undefined;
  if (name === 'wwid' && isJunkWwid(value)) return undefined;
  return name === 'size' && value === '0' ? undefined : value;
}
