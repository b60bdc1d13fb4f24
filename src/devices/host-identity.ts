import { isDeepStrictEqual } from 'node:util';
import { HoldfastError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { readFingerprint } from './host-fingerprint.ts';
import type { HostFingerprint, HostIdentity } from './host.ts';
import { withoutUnknown } from './known.ts';
import type { FactStore } from './fact-store.ts';
import { compareHosts, PART_NAMES, type HostComparison, type HostPart } from './same-host.ts';
import { Tree } from './sources/tree.ts';

export interface KnowHostOptions {
  readonly store: FactStore;
  /** Where `sys`, `proc` and `etc` are; tests give a recorded tree. Default `/`. */
  readonly root?: string;
  /** The state was made on another host and is to be this one's from now on. Default false. */
  readonly adopt?: boolean;
}

export interface HostVerdict {
  readonly identity: HostIdentity;
  /**
   * `minted`: first start. `same`: nothing in the hardware differs. `parts-replaced`: some of it does,
   * less than it takes to be another host. `adopted`: it was another host's state; the replica id is new.
   */
  readonly outcome: 'minted' | 'same' | 'parts-replaced' | 'adopted';
  /** For the log, when there is something that a person may want to know. */
  readonly note?: string;
}

/**
 * Who this host is: a replica id minted once (UUIDv7), bound to the hardware it was minted on. What was
 * learnt is stored before it is returned; an unchanged start stores nothing.
 * @throws StateMismatch when the state was made on another host (a cloned disk, a copied folder): two
 *   hosts writing under one id would overwrite each other. Nothing is stored then.
 */
export async function knowHost(options: KnowHostOptions): Promise<HostVerdict> {
  const { store, root = '/', adopt = false } = options;
  const fingerprint = await readFingerprint(new Tree(root));
  const known = await store.loadHost();
  if (!known) {
    const identity = await mint(store, fingerprint);
    const note = showsNoHardware(fingerprint) ? NO_FACTS : undefined;
    return withoutUnknown({ identity, outcome: 'minted', note });
  }
  const comparison = compareHosts(known.fingerprint, fingerprint);
  if (comparison.relation === 'another-host') {
    if (!adopt) throw anotherHost(known, fingerprint, comparison);
    const identity = await mint(store, fingerprint, known.replicaId);
    const note = `this host took over the state of replica ${known.replicaId} (minted ${known.mintedAt}) as ${identity.replicaId}`;
    return { identity, outcome: 'adopted', note };
  }
  const identity = await update(store, known, comparison.merged);
  const outcome = comparison.relation === 'parts-replaced' ? 'parts-replaced' : 'same';
  return withoutUnknown({ identity, outcome, note: noteOf(comparison) });
}

const NO_FACTS =
  'this host shows no fact about its hardware, so a copy of its state on another host would go unnoticed';
const NOTHING_IN_COMMON =
  'no hardware fact can be compared with the last start; the replica id is kept on trust';

async function mint(
  store: FactStore,
  fingerprint: HostFingerprint,
  clonedFrom?: string,
): Promise<HostIdentity> {
  const mintedAt = new Date().toISOString();
  const identity = withoutUnknown({ replicaId: newId(), mintedAt, clonedFrom, fingerprint });
  await store.saveHost(identity);
  return identity;
}

async function update(
  store: FactStore,
  known: HostIdentity,
  fingerprint: HostFingerprint,
): Promise<HostIdentity> {
  if (isDeepStrictEqual(known.fingerprint, fingerprint)) return known;
  const identity = { ...known, fingerprint };
  await store.saveHost(identity);
  return identity;
}

function noteOf({ relation, replaced, equal, merged }: HostComparison): string | undefined {
  // A host that never showed anything was told so at its first start, and not at every other one.
  if (relation === 'unknown') return showsNoHardware(merged) ? undefined : NOTHING_IN_COMMON;
  if (relation === 'parts-replaced') {
    return `replaced since the last start: ${namesOf(replaced)}; still the same: ${namesOf(without(equal, replaced))}`;
  }
  if (!replaced.includes('machine')) return undefined;
  return 'the machine-id is another one: the system, or the container, was installed anew';
}

function anotherHost(
  known: HostIdentity,
  now: HostFingerprint,
  { replaced, equal }: HostComparison,
): HoldfastError {
  const before = known.fingerprint;
  const changes = without(replaced, equal).map((part) =>
    part === 'machine'
      ? PART_NAMES.machine
      : `${PART_NAMES[part]} (was ${valueOf(before, part)}, is ${valueOf(now, part)})`,
  );
  return new HoldfastError(
    'StateMismatch',
    `this state belongs to another host, replica ${known.replicaId}: different here: ${changes.join(', ')}; the same: ${namesOf(equal)}`,
    {
      hint: 'if this host is to go on with it, `holdfast agent --adopt-state` mints a new replica id; otherwise name another folder with --state-dir',
    },
  );
}

function valueOf(fingerprint: HostFingerprint, part: HostPart): string {
  return [fingerprint[part] ?? []].flat().join(' ');
}

/** Network cards of which some were replaced are in both lists. */
function without(parts: readonly HostPart[], others: readonly HostPart[]): HostPart[] {
  return parts.filter((part) => !others.includes(part));
}

function namesOf(parts: readonly HostPart[]): string {
  return parts.length === 0 ? 'nothing' : parts.map((part) => PART_NAMES[part]).join(', ');
}

function showsNoHardware({ macs, machine: _, ...hardware }: HostFingerprint): boolean {
  return macs.length === 0 && Object.keys(hardware).length === 0;
}
