/**
 * What the writer of the crash tests says, one JSON line each, by a write(2) of its own: what was said
 * survives SIGKILL. All that was said of one store is its account, and the store is held against that.
 */
import { writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Change, ChangeSet } from '../../src/engine/index.ts';

/** One acknowledged revision: what each key became, null for a delete, and the lease it was put under. */
export interface Ack {
  readonly revision: number;
  readonly ops: readonly AckedOp[];
}
export type AckedOp = readonly [key: string, serial: string | null, lease?: number];

/** `ending`: an end was asked for, from here on it may be there or not. The others were acknowledged. */
export interface LeaseTold {
  readonly lease: number;
  readonly state: 'granted' | 'ending' | 'ended';
}

/** A watch of all keys has shown this revision. */
export interface Seen {
  readonly seen: number;
  /** Of all that it showed (digestOf). */
  readonly crc: number;
}

export type Told = Ack | LeaseTold | Seen;

export function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`);
}

export class Account {
  readonly acks: Ack[] = [];
  readonly leases: LeaseTold[] = [];
  readonly seen: Seen[] = [];

  add(told: Told): void {
    if ('seen' in told) this.seen.push(told);
    else if ('lease' in told) this.leases.push(told);
    else this.acks.push(told);
  }

  addAll(other: Iterable<Told>): void {
    for (const told of other) this.add(told);
  }

  *[Symbol.iterator](): Iterator<Told> {
    yield* this.acks;
    yield* this.leases;
    yield* this.seen;
  }

  static of(all: Iterable<Told>): Account {
    const account = new Account();
    account.addAll(all);
    return account;
  }

  /** The last acknowledged revision; 0 for none. */
  get revision(): number {
    return this.acks.reduce((max, ack) => Math.max(max, ack.revision), 0);
  }

  /** The last one that a watch has shown; 0 for none. */
  get lastSeen(): number {
    return this.seen.at(-1)?.seen ?? 0;
  }

  /** As a file for the checker. */
  lines(): string {
    return [...this].map((told) => `${JSON.stringify(told)}\n`).join('');
  }

  static parse(lines: string): Account {
    const account = new Account();
    for (const line of lines.split('\n')) {
      if (line !== '') account.add(JSON.parse(line) as Told);
    }
    return account;
  }
}

/** Of each change all that the engine records, in order. */
export function digestOf({ changes }: ChangeSet): number {
  return changes.reduce((crc, change) => crc32(change.kv.value, crc32(headOf(change), crc)), 0);
}

function headOf({ type, kv }: Change): string {
  const { key, createRevision, version, lease = 0, value } = kv;
  return `${type} ${key} ${createRevision} ${version} ${lease} ${value.length}\n`;
}
