/**
 * Watching. A watcher stands at a position, the last revision it has seen. While it keeps up it is
 * handed change sets as they are committed; when its buffer is full it stops being handed anything and
 * reads the log from where it stands, until it has caught up again. Both ways give the same change sets
 * in the same order, so a reader can't tell them apart, and the heap holds no more than the buffer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { prefixesOf } from './key.ts';
import { WATCH_BUFFER_BYTES_MAX, WATCH_BUFFER_SETS_MAX } from './limits.ts';
import type { Change, ChangeSet } from './engine.ts';
import type { HoldfastError } from '../base/errors.ts';

/** One bounded step of the log after `revision`; empty at its end. @throws Compacted, Corrupt, Unavailable */
export type ReadLog = (revision: number) => readonly ChangeSet[];

export class WatchHub {
  readonly #readLog: ReadLog;
  readonly #byPrefix = new Map<string, Set<Watcher>>();
  #closed: HoldfastError | undefined;

  constructor(readLog: ReadLog) {
    this.#readLog = readLog;
  }

  /** Watchers that were started and have not ended. */
  get size(): number {
    let size = 0;
    for (const watchers of this.#byPrefix.values()) size += watchers.size;
    return size;
  }

  /** Costs one look-up per level of each changed key, however many watchers there are. */
  publish(changeSets: readonly ChangeSet[]): void {
    if (this.#byPrefix.size === 0) return;
    for (const set of changeSets) {
      for (const [watcher, changes] of this.#matches(set)) {
        watcher.offer({ revision: set.revision, changes });
      }
    }
  }

  #matches(set: ChangeSet): Map<Watcher, Change[]> {
    const matches = new Map<Watcher, Change[]>();
    for (const change of set.changes) {
      for (const prefix of prefixesOf(change.kv.key)) {
        for (const watcher of this.#byPrefix.get(prefix) ?? []) {
          const changes = matches.get(watcher);
          if (changes) changes.push(change);
          else matches.set(watcher, [change]);
        }
      }
    }
    return matches;
  }

  /** A commit of unknown outcome: whoever was live reads the log after `revision`, the last known one. */
  resync(revision: number): void {
    for (const watchers of this.#byPrefix.values()) {
      for (const watcher of watchers) watcher.fallBack(revision);
    }
  }

  /** Ends every watch with `error`. */
  close(error: HoldfastError): void {
    this.#closed = error;
    for (const watchers of this.#byPrefix.values()) {
      for (const watcher of watchers) watcher.wake();
    }
  }

  /** @param position the last revision not to be seen */
  async *watch(prefix: string, position: number, signal: AbortSignal): AsyncGenerator<ChangeSet> {
    const watcher = new Watcher(position);
    const wake = (): void => watcher.wake();
    signal.addEventListener('abort', wake, { once: true });
    this.#add(prefix, watcher);
    try {
      for (;;) {
        if (signal.aborted) return;
        if (this.#closed) throw this.#closed;
        const next = watcher.take();
        if (next) yield next;
        else if (watcher.live) await watcher.wait();
        else yield* this.#catchUp(prefix, watcher, signal);
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#remove(prefix, watcher);
    }
  }

  /** One step from the log. It ends live when the log had no more: no commit can come between. */
  async *#catchUp(
    prefix: string,
    watcher: Watcher,
    signal: AbortSignal,
  ): AsyncGenerator<ChangeSet> {
    const step = this.#readLog(watcher.position);
    if (step.length === 0) {
      watcher.goLive();
      return;
    }
    for (const set of step) {
      const changes = set.changes.filter((change) => covers(prefix, change.kv.key));
      watcher.position = set.revision;
      if (changes.length === 0) continue;
      yield { revision: set.revision, changes };
      if (signal.aborted || this.#closed) return;
    }
    await nextTurn();
  }

  #add(prefix: string, watcher: Watcher): void {
    const watchers = this.#byPrefix.get(prefix);
    if (watchers) watchers.add(watcher);
    else this.#byPrefix.set(prefix, new Set([watcher]));
  }

  #remove(prefix: string, watcher: Watcher): void {
    const watchers = this.#byPrefix.get(prefix);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#byPrefix.delete(prefix);
  }
}

function covers(prefix: string, key: string): boolean {
  return prefix === '' || key.startsWith(`${prefix}/`);
}

class Watcher {
  /** Last revision seen, or passed over as not under the prefix. */
  position: number;
  #live = false;
  #buffer: ChangeSet[] = [];
  #bufferBytes = 0;
  #wake: (() => void) | undefined;

  constructor(position: number) {
    this.position = position;
  }

  get live(): boolean {
    return this.#live;
  }

  /** From here on commits are offered. Only valid when `position` is at or past the last revision. */
  goLive(): void {
    this.#live = true;
  }

  fallBack(revision: number): void {
    if (!this.#live) return;
    this.#live = false;
    if (this.#buffer.length === 0) this.position = Math.max(this.position, revision);
    this.wake();
  }

  offer(set: ChangeSet): void {
    if (!this.#live || set.revision <= this.position) return;
    const bytes = bytesOf(set);
    const full =
      this.#buffer.length >= WATCH_BUFFER_SETS_MAX ||
      (this.#buffer.length > 0 && this.#bufferBytes + bytes > WATCH_BUFFER_BYTES_MAX);
    if (full) {
      // What is buffered is still in order: it is read first, then the log from there.
      this.#live = false;
      return;
    }
    this.#buffer.push(set);
    this.#bufferBytes += bytes;
    this.wake();
  }

  take(): ChangeSet | undefined {
    const set = this.#buffer.shift();
    if (!set) return undefined;
    this.#bufferBytes -= bytesOf(set);
    this.position = set.revision;
    return set;
  }

  /** Resolves at the next offer, abort or close. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function bytesOf(set: ChangeSet): number {
  let bytes = 0;
  for (const { kv } of set.changes) bytes += kv.key.length + kv.value.length;
  return bytes;
}
