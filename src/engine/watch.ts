/**
 * Watching. A watcher stands at a position, the last revision it has seen. While it keeps up it is
 * handed change sets as they are committed; when its buffer is full it stops being handed anything and
 * reads the log from where it stands, until it has caught up again. Both ways give the same change sets
 * in the same order, so a reader can't tell them apart, and the heap holds no more than the buffer.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { covers } from './span.ts';
import { WatchIndex } from './watch-index.ts';
import { Watcher, type Wanted } from './watcher.ts';
import type { Clock } from '../base/clock.ts';
import type { HoldfastError } from '../base/errors.ts';
import type { Change, ChangeSet, Watch } from './engine.ts';
import type { LoggedSet } from './log.ts';

export interface WatchSource {
  /** One bounded step of the log after `revision`; empty at its end. @throws Compacted, Corrupt, Unavailable */
  readLog(revision: number): readonly LoggedSet[];
  /** The last revision that was published. */
  revision(): number;
  readonly clock: Clock;
}

export class WatchHub {
  readonly #source: WatchSource;
  readonly #watchers = new WatchIndex<Watcher>();
  #closed: HoldfastError | undefined;

  constructor(source: WatchSource) {
    this.#source = source;
  }

  /** What it costs is said in watch-index.ts. */
  publish(sets: readonly LoggedSet[]): void {
    if (this.#watchers.size === 0) return;
    for (const set of sets) {
      for (const [watcher, changes] of this.#matches(set)) {
        watcher.offer({ revision: set.revision, changes });
      }
    }
  }

  #matches(set: LoggedSet): Map<Watcher, Change[]> {
    const matches = new Map<Watcher, Change[]>();
    for (const logged of set.changes) {
      for (const watcher of this.#watchers.watching(logged.change.kv.key)) {
        const change = watcher.shown(logged);
        if (!change) continue;
        const changes = matches.get(watcher);
        if (changes) changes.push(change);
        else matches.set(watcher, [change]);
      }
    }
    return matches;
  }

  /** A commit of unknown outcome: whoever was live reads the log after `revision`, the last known one. */
  resync(revision: number): void {
    for (const watcher of this.#watchers.all()) watcher.fallBack(revision);
  }

  /** Ends every watch with `error`. */
  close(error: HoldfastError): void {
    this.#closed = error;
    for (const watcher of this.#watchers.all()) watcher.wake();
  }

  /** @param position the last revision not to be seen */
  watch(wanted: Wanted, position: number, signal: AbortSignal): Watch {
    const watcher = new Watcher(wanted, position, this.#source.clock);
    const requestProgress = (): void => watcher.askProgress();
    return Object.assign(this.#follow(watcher, signal), { requestProgress });
  }

  async *#follow(watcher: Watcher, signal: AbortSignal): AsyncGenerator<ChangeSet> {
    const wake = (): void => watcher.wake();
    signal.addEventListener('abort', wake, { once: true });
    this.#watchers.add(watcher);
    try {
      for (;;) {
        if (signal.aborted) return;
        if (this.#closed) throw this.#closed;
        const next = watcher.take();
        if (next) yield next;
        else if (!watcher.live) yield* this.#catchUp(watcher, signal);
        else if (watcher.isProgressDue) yield watcher.takeProgress(this.#source.revision());
        else await watcher.wait();
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#watchers.remove(watcher);
    }
  }

  /** One step from the log. It ends live when the log had no more: no commit can come between. */
  async *#catchUp(watcher: Watcher, signal: AbortSignal): AsyncGenerator<ChangeSet> {
    const step = this.#source.readLog(watcher.position);
    if (step.length === 0) {
      watcher.goLive();
      return;
    }
    for (const set of step) {
      const changes = shownOf(watcher, set);
      watcher.pass(set.revision);
      if (changes.length === 0) continue;
      yield { revision: set.revision, changes };
      if (signal.aborted || this.#closed) return;
    }
    await nextTurn();
  }
}

function shownOf(watcher: Watcher, { changes }: LoggedSet): Change[] {
  const shown: Change[] = [];
  for (const logged of changes) {
    const change = covers(watcher.span, logged.change.kv.key) && watcher.shown(logged);
    if (change) shown.push(change);
  }
  return shown;
}
