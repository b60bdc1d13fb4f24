/** Holds a reopened store against what was acknowledged before: a phantom may be there, a hole may not. */
import { CHANGES_REVISIONS_MAX } from '../../src/engine/index.ts';
import { Check, type Fault } from './faults.ts';
import { checkLeases } from './verify-leases.ts';
import { checkSeen } from './verify-watch.ts';
import { GROUP_KEYS, serialOf } from './workload.ts';
import type { Change, ChangeSet, Engine, KeyValue } from '../../src/engine/index.ts';
import type { Ack, AckedOp, LeaseTold, Seen } from './told.ts';

export interface Verdict {
  readonly revision: number;
  readonly compacted: number;
  /** Revisions in the store after the last acknowledged one: written, but the answer never came. */
  readonly phantoms: number;
  /** Acknowledged writes that are not there, or not as they were acknowledged. */
  readonly lost: number;
  /** What contradicts itself, by what it is, and all of it: a gap in the log, half a transaction … */
  readonly faults: Readonly<Record<Fault, number>>;
  readonly broken: number;
  /** What was found, the first few. */
  readonly messages: readonly string[];
}

/** What was told beside the acknowledgements: leases, and what a watch has shown. */
export interface AlsoTold {
  readonly leases?: readonly LeaseTold[];
  readonly seen?: readonly Seen[];
}

export async function verify(
  engine: Engine,
  acks: readonly Ack[],
  { leases = [], seen = [] }: AlsoTold = {},
): Promise<Verdict> {
  const check = new Check();
  const { revision, compactedRevision, keys } = await engine.stats();
  const log = await readLog(engine, compactedRevision, revision, check);
  const state = new Map((await engine.list('')).kvs.map((kv) => [kv.key, kv]));
  const lastChange = lastChanges(log);
  if (state.size !== keys)
    check.broken('log', `${state.size} keys listed, the head counts ${keys}`);
  checkRevisionsUnique(acks, check);
  checkAcknowledged(
    acks,
    { revision, compacted: compactedRevision, log, lastChange, state },
    check,
  );
  checkValues(state, revision, check);
  checkLogAgainstState(lastChange, compactedRevision, state, check);
  checkGroups(log, state, check);
  await checkLeases(engine, state, leases, check);
  checkSeen(seen, { revision, compacted: compactedRevision, log }, check);
  const last = acks.reduce((max, ack) => Math.max(max, ack.revision), 0);
  return {
    revision,
    compacted: compactedRevision,
    phantoms: Math.max(0, revision - last),
    ...check.counts(),
  };
}

/** A revision whose answer never came, as if it had. */
export function phantomOf({ revision, changes }: ChangeSet): Ack {
  const ops = changes.map(({ type, kv }): AckedOp => {
    if (type === 'delete') return [kv.key, null];
    const serial = serialOf(kv.key, kv.value) ?? '';
    return kv.lease === undefined ? [kv.key, serial] : [kv.key, serial, kv.lease];
  });
  return { revision, ops };
}

export type Log = ReadonlyMap<number, ChangeSet>;
export type State = ReadonlyMap<string, KeyValue>;
/** What the log ends with, per key. */
type LastChanges = ReadonlyMap<string, Change>;

async function readLog(
  engine: Engine,
  compacted: number,
  revision: number,
  check: Check,
): Promise<Log> {
  const log = new Map<number, ChangeSet>();
  for (let at = compacted; at < revision;) {
    const page = await engine.changes(at, CHANGES_REVISIONS_MAX);
    for (const set of page) {
      if (set.revision !== at + 1)
        check.broken('log', `the log goes from ${at} to ${set.revision}`);
      log.set(set.revision, set);
      at = set.revision;
    }
    if (page.length === 0) {
      check.broken('log', `the log ends at ${at}, the store is at ${revision}`);
      break;
    }
  }
  return log;
}

function checkRevisionsUnique(acks: readonly Ack[], check: Check): void {
  const seen = new Set<number>();
  for (const { revision } of acks) {
    if (seen.has(revision))
      check.broken('revision reused', `revision ${revision} was acknowledged twice`);
    seen.add(revision);
  }
}

function checkAcknowledged(
  acks: readonly Ack[],
  store: { revision: number; compacted: number; log: Log; lastChange: LastChanges; state: State },
  check: Check,
): void {
  const lastOfKey = new Map<string, Ack>();
  for (const ack of acks) {
    const { revision } = ack;
    if (revision > store.revision) {
      check.lost(`revision ${revision}, the store is at ${store.revision}`);
      continue;
    }
    if (revision > store.compacted && !sameAs(store.log.get(revision), ack)) {
      check.lost(`revision ${revision} is not in the log as acknowledged`);
      continue;
    }
    for (const [key] of ack.ops) {
      if ((lastOfKey.get(key)?.revision ?? 0) < revision) lastOfKey.set(key, ack);
    }
  }
  for (const [key, { revision, ops }] of lastOfKey) {
    const [, serial, lease] = ops.find(([of]) => of === key)!;
    const found = store.state.get(key);
    // Changed again, acknowledged or not: that this agrees with the log is checked elsewhere.
    const now = found?.modRevision ?? store.lastChange.get(key)?.kv.modRevision ?? 0;
    if (now > revision) continue;
    const asAcknowledged = found
      ? now === revision && serialOf(key, found.value) === serial && found.lease === lease
      : serial === null;
    if (!asAcknowledged) check.lost(`${key} is not as acknowledged at revision ${revision}`);
  }
}

function lastChanges(log: Log): LastChanges {
  const last = new Map<string, Change>();
  for (const { changes } of log.values()) {
    for (const change of changes) last.set(change.kv.key, change);
  }
  return last;
}

function sameAs(set: ChangeSet | undefined, ack: Ack): boolean {
  if (set?.changes.length !== ack.ops.length) return false;
  return ack.ops.every(([key, serial, lease], i) => {
    const { type, kv } = set.changes[i]!;
    if (kv.key !== key || kv.lease !== lease) return false;
    return serial === null ? type === 'delete' : serialOf(key, kv.value) === serial;
  });
}

function checkValues(state: State, revision: number, check: Check): void {
  for (const { key, value, modRevision } of state.values()) {
    if (serialOf(key, value) === undefined)
      check.broken('half-visible', `${key} holds what nobody wrote`);
    if (modRevision > revision)
      check.broken('log', `${key} is at ${modRevision}, the store at ${revision}`);
  }
}

/** The last change of each key in the log is its current value, and newer values have their log entry. */
function checkLogAgainstState(
  lastChange: LastChanges,
  compacted: number,
  state: State,
  check: Check,
): void {
  for (const [key, { type, kv }] of lastChange) {
    const found = state.get(key);
    const same =
      type === 'delete'
        ? found === undefined
        : found?.modRevision === kv.modRevision &&
          found.createRevision === kv.createRevision &&
          found.version === kv.version &&
          Buffer.compare(found.value, kv.value) === 0;
    if (!same)
      check.broken(
        'half-visible',
        `${key} is not what the log ends with at revision ${kv.modRevision}`,
      );
  }
  for (const { key, modRevision } of state.values()) {
    if (modRevision > compacted && !lastChange.has(key)) {
      check.broken(
        'half-visible',
        `${key} has no log entry at ${modRevision}, the log begins after ${compacted}`,
      );
    }
  }
}

function checkGroups(log: Log, state: State, check: Check): void {
  for (const { revision, changes } of log.values()) {
    const ofGroups = changes.filter(({ kv }) => kv.key.startsWith('group/'));
    if (ofGroups.length % GROUP_KEYS !== 0) {
      check.broken(
        'half-visible',
        `log record ${revision} has ${ofGroups.length} of ${GROUP_KEYS} group keys`,
      );
    }
  }
  const groups = new Map<string, KeyValue[]>();
  for (const kv of state.values()) {
    const [kind, group] = kv.key.split('/', 2);
    if (kind === 'group') groups.set(group!, [...(groups.get(group!) ?? []), kv]);
  }
  for (const [group, kvs] of groups) {
    const serials = new Set(kvs.map(({ key, value }) => serialOf(key, value)));
    if (kvs.length !== GROUP_KEYS || serials.size !== 1) {
      check.broken(
        'half-visible',
        `group ${group} is half written: ${kvs.length} keys, ${serials.size} serials`,
      );
    }
  }
}
