import type { HostVerdict } from '../devices/index.ts';
import { Closing } from './closing.ts';
import { loadConfig } from './config/index.ts';
import { readBootId } from './epoch.ts';
import { EngineEventRing } from './event-ring.ts';
import { createLogger } from './log.ts';
import { configOptions, type Paths } from './paths.ts';
import { openTruth } from './truth.ts';

/**
 * Makes the state of another host this one's, without starting the agent; of this host's own it changes nothing.
 * @throws Locked while an agent runs on it; what keeps the state from being opened
 */
export async function adoptState(paths: Paths): Promise<HostVerdict> {
  const { config } = await loadConfig(configOptions(paths));
  const closing = new Closing(createLogger(config.log.level, false));
  try {
    const { engine, verdict } = await openTruth(paths, config, { adoptState: true }, closing);
    const { outcome, note, identity } = verdict;
    if (outcome === 'adopted' && note !== undefined) {
      // No run of the agent: its starts count from 1.
      const events = new EngineEventRing({ engine, epoch: `${await readBootId()}.0` });
      await events.append({ type: 'host.adopted', subject: identity.replicaId, message: note });
    }
    return verdict;
  } finally {
    await closing.close();
  }
}
