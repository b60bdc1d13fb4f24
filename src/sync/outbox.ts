import type { Change, ChangeSet } from '../engine/index.ts';
import { isReplicated } from './directions.ts';
import type { BatchLimits, Mutation } from './target.ts';

/** What a mutation costs beside key and value: the subtree's name and the framing, rounded up. */
const MUTATION_OVERHEAD_BYTES = 128;

/** Change sets on their way to a target, the last write per key kept; pure bookkeeping. */
export class Outbox {
  readonly #limits: BatchLimits;
  readonly #mutations = new Map<string, Mutation>();
  #bytes = 0;
  #revision: number;
  #revisions = 0;

  /** @param revision everything up to here is at the target already */
  constructor(limits: BatchLimits, revision: number) {
    this.#limits = limits;
    this.#revision = revision;
  }

  /** The last revision that was added. */
  get revision(): number {
    return this.#revision;
  }

  /** How many of the added revisions matter to a target. */
  get revisions(): number {
    return this.#revisions;
  }

  get empty(): boolean {
    return this.#mutations.size === 0;
  }

  /** False, and nothing added, when it would exceed the limits: send first. An empty outbox takes any set. */
  add(set: ChangeSet): boolean {
    const changes = set.changes.filter(({ kv }) => isReplicated(kv.key));
    if (!this.empty && !this.#fits(changes)) return false;
    for (const change of changes) this.#put(toMutation(change));
    if (changes.length > 0) this.#revisions += 1;
    this.#revision = set.revision;
    return true;
  }

  mutations(): Iterable<Mutation> {
    return this.#mutations.values();
  }

  #fits(changes: readonly Change[]): boolean {
    let entries = this.#mutations.size;
    let bytes = this.#bytes;
    for (const change of changes) {
      const before = this.#mutations.get(change.kv.key);
      if (!before) entries += 1;
      bytes += mutationBytes(toMutation(change)) - (before ? mutationBytes(before) : 0);
    }
    return entries <= this.#limits.entries && bytes <= this.#limits.bytes;
  }

  #put(mutation: Mutation): void {
    const before = this.#mutations.get(mutation.key);
    this.#bytes += mutationBytes(mutation) - (before ? mutationBytes(before) : 0);
    this.#mutations.set(mutation.key, mutation);
  }
}

/** Mutations for one transaction. */
export class Batch {
  readonly mutations: Mutation[] = [];
  readonly #limits: BatchLimits;
  #bytes = 0;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  /** False, and not added, when it would exceed the limits; an empty batch takes any mutation. */
  add(mutation: Mutation): boolean {
    const bytes = this.#bytes + mutationBytes(mutation);
    const full = this.mutations.length === this.#limits.entries || bytes > this.#limits.bytes;
    if (full && this.mutations.length > 0) return false;
    this.mutations.push(mutation);
    this.#bytes = bytes;
    return true;
  }
}

/** In order; every batch but perhaps the last is as full as it may be. */
export async function* batchesOf(
  mutations: AsyncIterable<Mutation> | Iterable<Mutation>,
  limits: BatchLimits,
): AsyncGenerator<readonly Mutation[]> {
  let batch = new Batch(limits);
  for await (const mutation of mutations) {
    if (batch.add(mutation)) continue;
    yield batch.mutations;
    batch = new Batch(limits);
    batch.add(mutation);
  }
  if (batch.mutations.length > 0) yield batch.mutations;
}

export function mutationBytes(mutation: Mutation): number {
  const value = mutation.type === 'put' ? mutation.value.length : 0;
  return Buffer.byteLength(mutation.key) + value + MUTATION_OVERHEAD_BYTES;
}

function toMutation({ type, kv }: Change): Mutation {
  return type === 'put' ? { type, key: kv.key, value: kv.value } : { type, key: kv.key };
}
