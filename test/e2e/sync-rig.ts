import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../src/base/ids.ts';
import { openEngine, type BackendName, type Engine } from '../../src/engine/index.ts';
import {
  DIRECTIONS,
  isReplicated,
  openTarget,
  Replicator,
  type Place,
  type ReplicaTarget,
  type ReplicatorOptions,
  type SyncState,
  type SyncStateChange,
  type TargetConfig,
} from '../../src/sync/index.ts';
import type { Etcd } from '../servers/index.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Long enough for a busy machine; nothing here passes because time passed. */
const WAIT_MS = 30_000;

export const text = (value: string): Uint8Array => Buffer.from(value);

export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = WAIT_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(20);
  }
}

/** A real engine in a temporary folder, closed at the end of the block. */
export async function openTempEngine(
  backend: BackendName = 'sqlite',
  path = tempDir('sync'),
): Promise<Engine & AsyncDisposable> {
  const engine = await openEngine({ backend, path });
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close() });
}

export function placeOf(replicaId: string = newId()): Place {
  return { root: 'holdfast', replicaId };
}

/** What the target should hold: every replicated key of the engine. */
export async function localTree(engine: Engine): Promise<Record<string, string>> {
  const { kvs } = await engine.list('');
  return Object.fromEntries(
    kvs
      .filter(({ key }) => isReplicated(key))
      .map(({ key, value }) => [key, Buffer.from(value).toString('base64')]),
  );
}

/** What etcd's own client reads there, the checkpoint left out. */
export async function remoteTree(etcd: Etcd, place: Place): Promise<Record<string, string>> {
  const subtree = `/${place.root}/hosts/${place.replicaId}/`;
  const { kvs = [] } = JSON.parse(
    await etcd.etcdctl(['get', '--prefix', subtree, '-w', 'json']),
  ) as { kvs?: { key: string; value?: string }[] };
  return Object.fromEntries(
    kvs
      .map(({ key, value = '' }) => [Buffer.from(key, 'base64').toString(), value] as const)
      .filter(([key]) => key !== `${subtree}.checkpoint`)
      .map(([key, value]) => [key.slice(subtree.length), value]),
  );
}

/** etcd counts one revision per transaction that changed anything. */
export async function revisionOf(etcd: Etcd): Promise<number> {
  const answer = JSON.parse(await etcd.etcdctl(['get', 'no-such-key', '-w', 'json'])) as {
    header: { revision: number };
  };
  return answer.header.revision;
}

export interface FollowOptions extends Partial<Omit<TargetConfig, 'type'>> {
  readonly place?: Place;
  readonly times?: ReplicatorOptions['times'];
  readonly open?: () => Promise<ReplicaTarget>;
}

/** A replicator that runs, and what it told. */
export class Follower implements AsyncDisposable {
  readonly changes: SyncStateChange[] = [];
  readonly place: Place;
  readonly replicator: Replicator;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(engine: Engine, endpoint: string, options: FollowOptions = {}) {
    const { place, times, open, ...config } = options;
    this.place = place ?? placeOf();
    const target: TargetConfig = { id: 'etcd', endpoints: [endpoint], ...config, type: 'etcd' };
    this.replicator = new Replicator({
      engine,
      target: { ...target, open: open ?? (() => openTarget(target, this.place)) },
      onState: (change) => this.changes.push(change),
      // A test waits for what happens, not for a person or a quiet minute.
      times: { backoffFirstMs: 20, backoffMaxMs: 100, refusedRetryMs: 100, ...times },
    });
    this.#done = this.replicator.run(this.#stop.signal);
    this.#done.catch(() => undefined);
  }

  /** States it went through, in order. */
  get states(): SyncState[] {
    return this.changes.map(({ to }) => to);
  }

  get comparisons(): (string | undefined)[] {
    return this.changes.filter(({ to }) => to === 'comparing').map(({ reason }) => reason);
  }

  reached(state: SyncState): Promise<void> {
    return until(
      `state ${state} (now ${JSON.stringify(this.replicator.status())})`,
      () => this.replicator.status().state === state,
    );
  }

  /** Current, with everything acknowledged that is in the engine now. */
  async converged(): Promise<void> {
    const { localRevision } = this.replicator.status();
    await until(`convergence at ${localRevision}`, () => {
      const { state, lagRevisions } = this.replicator.status();
      return state === 'current' && lagRevisions === 0;
    });
  }

  /** @throws what the run threw: an engine that failed, or a bug. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Prefixes that must never show at a target. */
export const LOCAL_PREFIXES: readonly string[] = Object.keys(DIRECTIONS).filter(
  (prefix) => DIRECTIONS[prefix] === 'local',
);
