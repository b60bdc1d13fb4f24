/** Watchers in the same process: how late one is told, and what a thousand cost the writers. */
import path from 'node:path';
import { once, setMaxListeners } from 'node:events';
import { Load } from './load.ts';
import { inTurns, percentile } from './measure.ts';
import { slowdownRow, type Row } from './row.ts';
import { EngineSubject, type BackendName } from './subject.ts';
import type { Engine } from '../../src/engine/index.ts';
import type { Plan } from './plan.ts';

const P50_MS_MAX = 0.1;
const P99_MS_MAX = 2;
const WATCHERS = 1000;
const WATCHERS_SLOWDOWN_MAX = 2;
/** A batch each time: what watchers cost is seen where the disk's wait is shared by many puts. */
const IN_FLIGHT = 64;

export async function watching(backend: BackendName, folder: string, plan: Plan): Promise<Row[]> {
  await using watched = await opened(backend, path.join(folder, 'watched'));
  await using alone = await opened(backend, path.join(folder, 'alone'));
  const load = new Load(plan.keys, 100);
  const rows = await lateness(backend, watched.subject.engine, load, plan.lonePuts);

  const stop = new AbortController();
  setMaxListeners(WATCHERS, stop.signal);
  const watchers = prefixes(load).map((prefix) =>
    drain(watched.subject.engine, prefix, stop.signal),
  );
  const found = await inTurns(
    plan.rounds,
    plan.sliceMs,
    (ms) => watched.subject.putFor(load, IN_FLIGHT, ms),
    (ms) => alone.subject.putFor(load, IN_FLIGHT, ms),
  );
  stop.abort();
  await Promise.all(watchers);
  rows.push(slowdownRow(backend, `put with ${WATCHERS} watchers`, WATCHERS_SLOWDOWN_MAX, found));
  return rows;
}

/** From the acknowledgement of a lone put to the watcher's turn; a watcher that comes first was not late. */
async function lateness(
  backend: BackendName,
  engine: Engine,
  load: Load,
  puts: number,
): Promise<Row[]> {
  const stop = new AbortController();
  const seenAt = new Map<number, number>();
  const bell = new EventTarget();
  const watcher = (async () => {
    for await (const set of engine.watch('hosts', { signal: stop.signal })) {
      seenAt.set(set.revision, performance.now());
      bell.dispatchEvent(new Event('seen'));
    }
  })();
  const lateMs: number[] = [];
  for (let put = 0; put < puts; put += 1) {
    const { key, value } = load.next();
    const revision = await engine.put(key, value);
    const ackedAt = performance.now();
    while (!seenAt.has(revision)) await once(bell, 'seen');
    lateMs.push(Math.max(0, seenAt.get(revision)! - ackedAt));
    seenAt.delete(revision);
  }
  stop.abort();
  await watcher;
  const row = (name: string, share: number, atMost: number): Row => ({
    id: `${backend} acknowledged to watcher, ${name}`,
    measured: percentile(lateMs, share),
    unit: 'ms',
    target: { atMost },
    detail: `${puts} lone puts`,
  });
  return [row('p50', 0.5, P50_MS_MAX), row('p99', 0.99, P99_MS_MAX)];
}

/** One for each host, and the keys of the load are spread over all hosts. */
function prefixes(load: Load): string[] {
  return load.keys.slice(0, WATCHERS).map((key) => key.slice(0, key.lastIndexOf('/')));
}

async function drain(engine: Engine, prefix: string, signal: AbortSignal): Promise<number> {
  let seen = 0;
  for await (const set of engine.watch(prefix, { signal })) seen += set.changes.length;
  return seen;
}

async function opened(backend: BackendName, folder: string) {
  const subject = await EngineSubject.open(backend, folder);
  return { subject, [Symbol.asyncDispose]: () => subject.close() };
}
