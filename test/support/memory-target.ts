import { HoldfastError } from '../../src/base/errors.ts';
import { encodeCheckpoint, parseCheckpoint } from '../../src/sync/checkpoint.ts';
import type {
  Checkpoint,
  Mutation,
  Place,
  RemoteEntry,
  ReplicaTarget,
} from '../../src/sync/index.ts';

/** A remote store on the heap that keeps the contract of a target, and can be told to fail. */
export class MemoryRemote {
  readonly values = new Map<string, { readonly value: Uint8Array; readonly revision: number }>();
  /** What the next calls do first; removed one by one. */
  readonly faults: (() => Promise<void> | void)[] = [];
  /** Transactions that were applied. */
  revision = 0;
  #answering = Promise.resolve();

  open(place: Place): MemoryTarget {
    return new MemoryTarget(this, place);
  }

  put(key: string, value: Uint8Array | undefined): void {
    this.revision += 1;
    if (value) this.values.set(key, { value: Uint8Array.from(value), revision: this.revision });
    else this.values.delete(key);
  }

  /** No call is answered until the returned function is called. */
  hang(): () => void {
    let goOn = (): void => undefined;
    this.#answering = new Promise((resolve) => {
      goOn = resolve;
    });
    return goOn;
  }

  async answer(signal: AbortSignal): Promise<void> {
    let stop = (): void => undefined;
    const aborted = new Promise<void>((resolve) => {
      stop = resolve;
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    await Promise.race([this.#answering, aborted]);
    signal.removeEventListener('abort', stop);
    if (signal.aborted) throw new HoldfastError('Cancelled', 'call cancelled');
    await this.faults.shift()?.();
  }
}

const PAGE_KEYS = 20;

export class MemoryTarget implements ReplicaTarget {
  readonly id = 'memory';
  readonly limits = { entries: 10, bytes: 4096 };
  readonly #remote: MemoryRemote;
  readonly #subtree: string;
  readonly #checkpointKey: string;
  #fence: number | undefined;

  constructor(remote: MemoryRemote, place: Place) {
    this.#remote = remote;
    this.#subtree = `/${place.root}/hosts/${place.replicaId}/`;
    this.#checkpointKey = `${this.#subtree}.checkpoint`;
  }

  async readCheckpoint(signal: AbortSignal): Promise<Checkpoint | undefined> {
    await this.#remote.answer(signal);
    const kept = this.#remote.values.get(this.#checkpointKey);
    this.#fence = kept?.revision ?? 0;
    const checkpoint = kept && parseCheckpoint(kept.value);
    if (kept && !checkpoint) {
      throw new HoldfastError('Conflict', `${this.#checkpointKey} is not ours`);
    }
    return checkpoint;
  }

  async apply(mutations: readonly Mutation[], checkpoint: Checkpoint, signal: AbortSignal) {
    if (this.#fence === undefined) throw new Error('apply before readCheckpoint');
    await this.#remote.answer(signal);
    if ((this.#remote.values.get(this.#checkpointKey)?.revision ?? 0) !== this.#fence) {
      throw new HoldfastError('Conflict', `${this.#checkpointKey} was written by another`);
    }
    for (const mutation of mutations) {
      const value = mutation.type === 'put' ? mutation.value : undefined;
      this.#remote.put(this.#subtree + mutation.key, value);
    }
    this.#remote.put(this.#checkpointKey, encodeCheckpoint(checkpoint));
    this.#fence = this.#remote.revision;
  }

  async *list(signal: AbortSignal): AsyncIterable<readonly RemoteEntry[]> {
    const keys = [...this.#remote.values.keys()]
      .filter((key) => key.startsWith(this.#subtree) && key !== this.#checkpointKey)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (let from = 0; from === 0 || from < keys.length; from += PAGE_KEYS) {
      await this.#remote.answer(signal);
      yield keys.slice(from, from + PAGE_KEYS).flatMap((key) => {
        const kept = this.#remote.values.get(key);
        return kept ? [{ key: key.slice(this.#subtree.length), value: kept.value }] : [];
      });
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
