import { knowHost, type FactStore, type HostVerdict } from '../devices/index.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { logHolder } from '../sync/index.ts';
import { Ballast } from './ballast.ts';
import type { Closing } from './closing.ts';
import type { Config } from './config/index.ts';
import { engineFactStore } from './fact-store.ts';
import type { Paths } from './paths.ts';
import { StateDir } from './state-dir.ts';

const HOUR_MS = 3_600_000;

export interface Truth {
  readonly state: StateDir;
  readonly engine: Engine;
  readonly store: FactStore;
  readonly verdict: HostVerdict;
}

/** Whose state is it, and is it whole? Until all of that is answered nothing is written. */
export async function openTruth(
  paths: Paths,
  config: Config,
  { adoptState }: { readonly adoptState: boolean },
  closing: Closing,
): Promise<Truth> {
  await new Ballast(paths.stateDir).release();
  const state = await StateDir.open(paths.stateDir);
  const { backend, historyHours } = config.engine;
  const engine = await openEngine({
    backend,
    path: state.enginePath,
    historyMs: historyHours * HOUR_MS,
    holders: config.sync.targets.map(({ id }) => logHolder(id)),
  });
  closing.last(() => engine.close());
  const store = engineFactStore(engine);
  const verdict = await knowHost({ store, adopt: adoptState });
  return { state, engine, store, verdict };
}
