import { isDeepStrictEqual } from 'node:util';
import { formatBytes } from '../base/bytes.ts';
import type { Device, HistoryEntry, Quarantine } from './device.ts';
import { carryOn, differencesOf } from './facts.ts';
import { deviceId } from './identity.ts';
import { withoutUnknown } from './known.ts';
import { devicePath } from './sources/sysfs.ts';

export type DeviceEvent = {
  readonly type: HistoryEntry['event'] | 'forgotten' | 'claimed' | 'unclaimed';
  readonly device: Device;
  /** A sentence that names the device, and what changed. */
  readonly message: string;
};

/** A disk that is moved or repaired a few times a year is told whole; one that flaps keeps its last hours. */
const HISTORY_MAX = 16;

/**
 * What a scan's devices, each under the id of its record, mean for what was known. Pure. Absence is not
 * deletion: what isn't there any more stays, as absent.
 */
export function compare(
  known: ReadonlyMap<string, Device>,
  seen: readonly Device[],
  nowIso: string,
): DeviceEvent[] {
  const events: DeviceEvent[] = [];
  const contested = new Map<string, Quarantine>();
  const ids = new Set<string>();
  for (const device of seen) {
    ids.add(device.id);
    if (device.quarantine) contested.set(device.quarantine.id, device.quarantine);
    const event = eventOf(known.get(device.id), device, nowIso);
    if (event) events.push(event);
  }
  for (const before of known.values()) {
    if (ids.has(before.id)) continue;
    // Its id may be of an identity it had before: what is contested is the one it has.
    const quarantine = contested.get(deviceId(before.identity)) ?? contested.get(before.id);
    const event = eventOfAbsent(before, quarantine, nowIso);
    if (event) events.push(event);
  }
  return events;
}

function eventOf(
  before: Device | undefined,
  device: Device,
  nowIso: string,
): DeviceEvent | undefined {
  if (!before) {
    const type = device.quarantine ? 'quarantined' : 'appeared';
    return eventWith(type, device, nowIso, [], sentence(type, device, []));
  }
  const { history, facts } = before;
  const now: Device = { ...device, history, facts: carryOn(facts, device.facts) };
  if (isDeepStrictEqual(before, now)) return undefined;
  const differences = differencesOf(facts, now.facts);
  const type = typeOf(before, now);
  const others = differences.length > 0 ? [] : relationsOf(before, now);
  const message = sentence(type, now, [...differences, ...others]);
  // A mount or a holder that comes and goes would push what a person looks for out of the history.
  if (type === 'changed' && differences.length === 0) return { type, device: now, message };
  return eventWith(type, now, nowIso, differences, message);
}

function typeOf(before: Device, now: Device): HistoryEntry['event'] {
  const wasIn = before.quarantine !== undefined;
  if (now.quarantine !== undefined && !isDeepStrictEqual(before.quarantine, now.quarantine)) {
    return 'quarantined';
  }
  if (wasIn && now.quarantine === undefined) return 'released';
  return before.present ? 'changed' : 'returned';
}

const UNRELATED = { legOf: undefined, backingDevice: undefined };

/** Its identity may be contested by others that are there: then it isn't gone, nobody knows which one it is. */
function eventOfAbsent(
  before: Device,
  quarantine: Quarantine | undefined,
  nowIso: string,
): DeviceEvent | undefined {
  const gone = {
    present: false,
    mountPoints: [],
    swap: false,
    children: [],
    holders: [],
    slaves: [],
  };
  const now: Device = withoutUnknown({ ...before, ...gone, ...UNRELATED, quarantine });
  if (isDeepStrictEqual(before, now)) return undefined;
  const type = quarantine ? 'quarantined' : 'disappeared';
  return eventWith(type, now, nowIso, [], sentence(type, now, []));
}

function eventWith(
  type: HistoryEntry['event'],
  device: Device,
  nowIso: string,
  differences: readonly string[],
  message: string,
): DeviceEvent {
  const detail = device.quarantine
    ? `${device.quarantine.names.join(', ')} claim ${device.quarantine.id}`
    : differences.join(', ');
  const entry = withoutUnknown({ at: nowIso, event: type, detail: detail || undefined });
  const history = [...device.history, entry].slice(-HISTORY_MAX);
  return { type, device: { ...device, history }, message };
}

function sentence(
  type: HistoryEntry['event'],
  device: Device,
  differences: readonly string[],
): string {
  const { path, quarantine } = device;
  if (type === 'quarantined' && quarantine) {
    const nodes = quarantine.names.map(devicePath);
    return `${nodes.join(' and ')} claim one identity, ${quarantine.id}: none of them is trusted with it`;
  }
  const what = type === 'appeared' ? `: ${device.kind}, ${formatBytes(device.sizeBytes)}` : '';
  const how = differences.length === 0 ? what : `: ${differences.join(', ')}`;
  return `${path} ${type}${how}`;
}

/** What isn't a fact of the device itself: who uses it, what stands on it. */
function relationsOf(before: Device, now: Device): string[] {
  const said: string[] = [];
  const lists = {
    'mounted at': 'mountPoints',
    partitions: 'children',
    holders: 'holders',
  } as const;
  for (const [word, key] of Object.entries(lists)) {
    if (!isDeepStrictEqual(before[key], now[key])) {
      said.push(`${word} ${now[key].join(', ') || 'nothing'}`);
    }
  }
  if (before.swap !== now.swap) said.push(now.swap ? 'used as swap' : 'no longer used as swap');
  return said;
}
