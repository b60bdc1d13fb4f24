/** What watches have shown, over several openings of one store: each revision once, as the log has it. */
import { digestOf, type Seen } from './told.ts';
import type { ChangeSet, Engine } from '../../src/engine/index.ts';
import type { Check } from './faults.ts';

/** All is in the log already. */
const WATCH_MS_MAX = 20_000;

interface Store {
  readonly revision: number;
  readonly compacted: number;
  readonly log: ReadonlyMap<number, ChangeSet>;
}

/** Nothing is shown before it is durable: what was seen is there, and what it was. */
export function checkSeen(all: readonly Seen[], store: Store, check: Check): void {
  for (const [i, { seen, crc }] of all.entries()) {
    const before = all[i - 1]?.seen ?? 0;
    if (seen !== before + 1) check.broken('watch', `revision ${seen} was shown after ${before}`);
    if (seen > store.revision) {
      check.lost(`revision ${seen}, which a watch has shown; the store is at ${store.revision}`);
      continue;
    }
    const set = store.log.get(seen);
    if (seen <= store.compacted || (set && digestOf(set) === crc)) continue;
    check.broken('revision reused', `revision ${seen} is not what a watch has shown`);
  }
}

/** Goes on after the revision `last`. @returns what it shows up to the last revision there is. @throws when it does not */
export async function watchOn(engine: Engine, last: number): Promise<Seen[]> {
  const { revision } = engine;
  const shown: Seen[] = [];
  if (last >= revision) return shown;
  const signal = AbortSignal.timeout(WATCH_MS_MAX);
  for await (const set of engine.watch('', { from: last + 1, signal })) {
    shown.push({ seen: set.revision, crc: digestOf(set) });
    if (set.revision >= revision) return shown;
  }
  throw new Error(`a watch from ${last + 1} ends at ${shown.at(-1)?.seen}, not at ${revision}`);
}
