/** Holds a reopened store against what was acknowledged before: a phantom may be there, a hole may not. */
import { CHANGES_REVISIONS_MAX } from '../../src/engine/index.ts';
import { GROUP_KEYS, serialOf } from './workload.ts';
import type { Change, ChangeSet, Engine, KeyValue } from '../../src/engine/index.ts';
import type { Ack } from './workload.ts';

/** Messages kept: enough to see what kind of damage it is. */
const MESSAGES_MAX = 10;

export interface Verdict {
  readonly revision: number;
  readonly compacted: number;
  /** Revisions in the store after the last acknowledged one: written, but the answer never came. */
  readonly phantoms: number;
  /** Acknowledged writes that are not there, or not as they were acknowledged. */
  readonly lost: number;
  /** What contradicts itself: a gap in the log, half a transaction, a value that isn't one of ours. */
  readonly broken: number;
  /** What was found, the first few. */
  readonly messages: readonly string[];
}

export async function verify(engine: Engine, acks: readonly Ack[]): Promise<Verdict> {
  const check = new Check();
  const { revision, compactedRevision, keys } = await engine.stats();
  const log = await readLog(engine, compactedRevision, revision, check);
  const state = new Map((await engine.list('')).kvs.map((kv) => [kv.key, kv]));
  const lastChange = lastChanges(log);
  if (state.size !== keys) check.broken(`${state.size} keys listed, the head counts ${keys}`);
  checkRevisionsUnique(acks, check);
  checkAcknowledged(
    acks,
    { revision, compacted: compactedRevision, log, lastChange, state },
    check,
  );
  checkValues(state, revision, check);
  checkLogAgainstState(lastChange, compactedRevision, state, check);
  checkGroups(log, state, check);
  const last = acks.reduce((max, ack) => Math.max(max, ack.revision), 0);
  return {
    revision,
    compacted: compactedRevision,
    phantoms: Math.max(0, revision - last),
    ...check.counts(),
  };
}

class Check {
  #lost = 0;
  #broken = 0;
  readonly #messages: string[] = [];

  lost(message: string): void {
    this.#lost += 1;
    this.#say(`lost: ${message}`);
  }

  broken(message: string): void {
    this.#broken += 1;
    this.#say(`broken: ${message}`);
  }

  counts(): Pick<Verdict, 'lost' | 'broken' | 'messages'> {
    return { lost: this.#lost, broken: this.#broken, messages: this.#messages };
  }

  #say(message: string): void {
    if (this.#messages.length < MESSAGES_MAX) this.#messages.push(message);
  }
}

type Log = ReadonlyMap<number, ChangeSet>;
type State = ReadonlyMap<string, KeyValue>;
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
      if (set.revision !== at + 1) check.broken(`the log goes from ${at} to ${set.revision}`);
      log.set(set.revision, set);
      at = set.revision;
    }
    if (page.length === 0) {
      check.broken(`the log ends at ${at}, the store is at ${revision}`);
      break;
    }
  }
  return log;
}

function checkRevisionsUnique(acks: readonly Ack[], check: Check): void {
  const seen = new Set<number>();
  for (const { revision } of acks) {
    if (seen.has(revision)) check.broken(`revision ${revision} was acknowledged twice`);
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
    const serial = ops.find(([of]) => of === key)![1];
    const found = store.state.get(key);
    // Changed again, acknowledged or not: that this agrees with the log is checked elsewhere.
    const now = found?.modRevision ?? store.lastChange.get(key)?.kv.modRevision ?? 0;
    if (now > revision) continue;
    const asAcknowledged = found
      ? now === revision && serialOf(key, found.value) === serial
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
  return ack.ops.every(([key, serial], i) => {
    const { type, kv } = set.changes[i]!;
    if (kv.key !== key) return false;
    return serial === null ? type === 'delete' : serialOf(key, kv.value) === serial;
  });
}

function checkValues(state: State, revision: number, check: Check): void {
  for (const { key, value, modRevision } of state.values()) {
    if (serialOf(key, value) === undefined) check.broken(`${key} holds what nobody wrote`);
    if (modRevision > revision)
      check.broken(`${key} is at ${modRevision}, the store at ${revision}`);
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
    if (!same) check.broken(`${key} is not what the log ends with at revision ${kv.modRevision}`);
  }
  for (const { key, modRevision } of state.values()) {
    if (modRevision > compacted && !lastChange.has(key)) {
      check.broken(`${key} has no log entry at ${modRevision}, the log begins after ${compacted}`);
    }
  }
}

function checkGroups(log: Log, state: State, check: Check): void {
  for (const { revision, changes } of log.values()) {
    const ofGroups = changes.filter(({ kv }) => kv.key.startsWith('group/'));
    if (ofGroups.length % GROUP_KEYS !== 0) {
      check.broken(`log record ${revision} has ${ofGroups.length} of ${GROUP_KEYS} group keys`);
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
      check.broken(`group ${group} is half written: ${kvs.length} keys, ${serials.size} serials`);
    }
  }
}
