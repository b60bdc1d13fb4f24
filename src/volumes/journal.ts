/**
 * JOURNAL
 *
 * One operation = one entry at `journal/<opId>`, JSON, never mirrored to any replica.
 *
 * BEGIN    one transaction: the entry, and with it what the operation claims: for create the record
 *          (phase creating, the fs UUID chosen) and the name, for remove the phase. This is the
 *          acknowledgement point: from here the operation is finished or rolled back, across any crash.
 * STEPS    run without touching the entry: they are idempotent, so how far they came needn't be known,
 *          and every write here would be a sync of the disk.
 * END      one transaction: the new record (or none), the entry deleted.
 * FAIL     when rolling back failed too: the entry stays with `direction: back`, the record says why.
 *          It is tried again by the next operation on the volume and at the next start, never in a loop.
 * RECOVERY every entry found at start: its steps from the first again, or its undo if `back`.
 */
import { newId } from '../base/ids.ts';
import type { Condition, Engine, Op } from '../engine/index.ts';
import { nameKey } from './name.ts';
import type { OperationKind, Plan } from './planner.ts';
import { decode, encode, putVolume, volumeKey, type Stored } from './records.ts';
import type { Attachment, Volume } from './volume.ts';

export interface JournalEntry extends Plan {
  readonly opId: string;
  readonly kind: OperationKind;
  readonly volumeId: string;
  /** The record before; for create as it was first written. */
  readonly before: Volume;
  /** attach, detach: the attachments when it is done. An empty device name is filled in by `record`. */
  readonly attachments?: readonly Attachment[];
  readonly direction: 'forward' | 'back';
  readonly startedAt: string;
}

/** An entry that is in the engine, with the revisions its end must find. */
export interface OpenEntry {
  readonly entry: JournalEntry;
  readonly revision: number;
  readonly stored: Stored;
}

export type Intent = Pick<JournalEntry, 'kind' | 'before' | 'attachments' | 'startedAt'> & {
  readonly plan: Plan;
};

export class Journal {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @param revision of the record; 0 = it must not exist. @throws KeyModified, KeyExists when somebody was faster */
  async begin({ plan, ...intent }: Intent, revision: number): Promise<OpenEntry> {
    const { spec, status } = intent.before;
    const entry: JournalEntry = {
      opId: newId(),
      ...intent,
      ...plan,
      volumeId: spec.id,
      direction: 'forward',
    };
    const claimed = claim(intent.kind, intent.before, status.phase);
    const conditions: Condition[] = [{ key: volumeKey(spec.id), modRevision: revision }];
    const ops: Op[] = [{ type: 'put', key: entryKey(entry), value: encode(entry) }];
    if (claimed) ops.push(putVolume(claimed));
    if (intent.kind === 'create') {
      conditions.push({ key: nameKey(spec.name), modRevision: 0 });
      ops.push({ type: 'put', key: nameKey(spec.name), value: Buffer.from(spec.id) });
    }
    const written = await this.#engine.txn(conditions, ops);
    const stored = { volume: claimed ?? intent.before, revision: claimed ? written : revision };
    return { entry, revision: written, stored };
  }

  /** @param volume the record from now on; undefined = the volume is gone, its name free */
  async end(open: OpenEntry, volume: Volume | undefined): Promise<void> {
    const { entry, stored } = open;
    const ops: Op[] = [{ type: 'delete', key: entryKey(entry) }];
    if (!volume) {
      ops.push({ type: 'delete', key: volumeKey(entry.volumeId) });
      ops.push({ type: 'delete', key: nameKey(stored.volume.spec.name) });
    } else if (!same(volume, stored.volume)) {
      ops.push(putVolume(volume));
    }
    await this.#engine.txn(conditionsOf(open), ops);
  }

  /** The entry stays; `volume` says why. */
  async fail(
    open: OpenEntry,
    volume: Volume,
    direction: JournalEntry['direction'],
  ): Promise<OpenEntry> {
    const entry = { ...open.entry, direction };
    const ops: Op[] = [{ type: 'put', key: entryKey(entry), value: encode(entry) }];
    if (!same(volume, open.stored.volume)) ops.push(putVolume(volume));
    const revision = await this.#engine.txn(conditionsOf(open), ops);
    const stored = ops.length > 1 ? { volume, revision } : open.stored;
    return { entry, revision, stored };
  }

  /** Every entry, oldest first. The record of one whose volume is gone is taken from the entry. */
  async list(): Promise<readonly OpenEntry[]> {
    const { kvs } = await this.#engine.list('journal');
    return Promise.all(
      kvs.map(async (kv) => {
        const entry = decode<JournalEntry>(kv);
        const record = await this.#engine.get(volumeKey(entry.volumeId));
        const stored = record
          ? { volume: decode<Volume>(record), revision: record.modRevision }
          : { volume: entry.before, revision: 0 };
        return { entry, revision: kv.modRevision, stored };
      }),
    );
  }
}

function claim(
  kind: OperationKind,
  before: Volume,
  phase: Volume['status']['phase'],
): Volume | undefined {
  if (kind === 'create') return before;
  if (kind !== 'remove' || phase === 'removing') return undefined;
  return { ...before, status: { ...before.status, phase: 'removing' } };
}

function conditionsOf({ entry, revision, stored }: OpenEntry): Condition[] {
  return [
    { key: entryKey(entry), modRevision: revision },
    { key: volumeKey(entry.volumeId), modRevision: stored.revision },
  ];
}

function entryKey(entry: JournalEntry): string {
  return `journal/${entry.opId}`;
}

export function same(left: Volume, right: Volume): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
