/**
 * Is this the machine that a state was made on? Pure: two fingerprints in, a judgement out.
 *
 * - Only facts that both sides have count: absence is no evidence (not root, a container, a card pulled).
 * - Hardware decides, each fact one vote, by majority. The machine-id is on the disk, as our state is, so
 *   it is copied with it and is new after a re-installation: it has no vote and breaks a tie only.
 * - Without any hardware fact in common the answer is "the same": a container that was made anew.
 */
import type { HostFingerprint } from './host.ts';

export type HostPart = keyof HostFingerprint;

/** How people call the parts, in the order they are named. */
export const PART_NAMES: Readonly<Record<HostPart, string>> = {
  productUuid: 'product UUID',
  boardSerial: 'board serial number',
  macs: 'network cards',
  rootDisk: 'root disk',
  machine: 'machine-id',
};

export interface HostComparison {
  /** `unknown`: no fact that both sides have. */
  readonly relation: 'same' | 'parts-replaced' | 'another-host' | 'unknown';
  readonly equal: readonly HostPart[];
  /** Both sides have them, and they differ; some network cards of many count as equal and are here too. */
  readonly replaced: readonly HostPart[];
  /** What is known from now on, if it is this host: new facts over old ones, and old ones where there is no new. */
  readonly merged: HostFingerprint;
}

/** `part`: enough is the same to know it again, and something was replaced. */
type Likeness = 'equal' | 'part' | 'different' | 'unknown';

export function compareHosts(before: HostFingerprint, now: HostFingerprint): HostComparison {
  const likeness: Readonly<Record<HostPart, Likeness>> = {
    productUuid: likenessOf(before.productUuid, now.productUuid),
    boardSerial: likenessOf(before.boardSerial, now.boardSerial),
    macs: likenessOfSets(before.macs, now.macs),
    rootDisk: likenessOf(before.rootDisk, now.rootDisk),
    machine: likenessOf(before.machine, now.machine),
  };
  const those = (...wanted: Likeness[]): HostPart[] =>
    (Object.keys(PART_NAMES) as HostPart[]).filter((part) => wanted.includes(likeness[part]));
  const equal = those('equal', 'part');
  const replaced = those('part', 'different');
  return {
    relation: relationOf(equal, those('different'), replaced),
    equal,
    replaced,
    merged: merge(before, now),
  };
}

function relationOf(
  equal: readonly HostPart[],
  different: readonly HostPart[],
  replaced: readonly HostPart[],
): HostComparison['relation'] {
  if (equal.length + different.length === 0) return 'unknown';
  const balance = equal.filter(isHardware).length - different.filter(isHardware).length;
  const isOther = balance < 0 || (balance === 0 && tieIsLost(different));
  if (isOther) return 'another-host';
  return replaced.some(isHardware) ? 'parts-replaced' : 'same';
}

/** Half of the hardware differs, and so does what is on the disk. */
function tieIsLost(different: readonly HostPart[]): boolean {
  return different.includes('machine') && different.some(isHardware);
}

function isHardware(part: HostPart): boolean {
  return part !== 'machine';
}

function likenessOf(before: string | undefined, now: string | undefined): Likeness {
  if (before === undefined || now === undefined) return 'unknown';
  return before === now ? 'equal' : 'different';
}

/** Cards come and go (USB, a failed one): half of the smaller set is enough to know the machine again. */
function likenessOfSets(before: readonly string[], now: readonly string[]): Likeness {
  const smaller = Math.min(before.length, now.length);
  if (smaller === 0) return 'unknown';
  const shared = now.filter((one) => before.includes(one)).length;
  if (shared === smaller) return 'equal';
  return shared * 2 >= smaller ? 'part' : 'different';
}

/** So that a machine whose parts are replaced one by one is compared with what it was last time, not with its first day. */
function merge(before: HostFingerprint, now: HostFingerprint): HostFingerprint {
  const isMissingSome = now.macs.every((mac) => before.macs.includes(mac));
  return { ...before, ...now, macs: isMissingSome ? before.macs : now.macs };
}
