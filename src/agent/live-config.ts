import type { Logger } from 'pino';
import { toHoldfastError, type HoldfastError } from '../base/errors.ts';
import type { VolumeManager } from '../volumes/index.ts';
import type { ConfigDiff, ConfigPart, ConfigWatcherOptions } from './config/index.ts';
import type { AgentCore } from './core.ts';
import type { Rescan } from './rescan.ts';
import type { StatusFeed } from './status-feed.ts';
import type { Targets } from './targets.ts';
import type { Teller } from './teller.ts';

export interface LiveParts {
  readonly core: AgentCore;
  readonly log: Logger;
  readonly teller: Teller;
  readonly rescan: Rescan;
  readonly volumes: VolumeManager;
  readonly targets: Targets;
  readonly feed: StatusFeed;
}

/** Applies what a changed configuration changes, while the agent runs. */
export class LiveConfig {
  readonly #parts: LiveParts;

  constructor(parts: LiveParts) {
    this.#parts = parts;
  }

  /** What the configuration's watcher calls. */
  readonly handlers: Pick<ConfigWatcherOptions, 'onChange' | 'onError'> = {
    onChange: (_loaded, diff) => this.#changed(diff),
    onError: (error) => this.#wrong(error),
  };

  async #changed(diff: ConfigDiff): Promise<void> {
    const { core, teller } = this.#parts;
    core.setReason('config', undefined);
    const applied: ConfigPart[] = [];
    for (const part of diff.live) if (await this.#tryToApply(part, diff)) applied.push(part);
    const { replicaId } = core.identity;
    if (applied.length > 0) {
      teller.tell('config.applied', replicaId, `configuration applied: ${applied.join(', ')}`);
    }
    if (diff.restart.includes('engine.backend')) {
      const reason =
        'engine.backend was changed, and the next start will refuse the store that is there';
      core.setReason('config', `${reason}; put it back, or name another state folder then`);
    }
    if (diff.restart.length > 0) {
      const message = `configuration waits for the next start: ${diff.restart.join(', ')}`;
      teller.tell('config.waiting', replicaId, message);
    }
  }

  /** A part that can't be applied holds up no other. */
  async #tryToApply(part: ConfigPart, diff: ConfigDiff): Promise<boolean> {
    try {
      await this.#apply(part, diff);
      return true;
    } catch (thrown) {
      const { code, message } = toHoldfastError(thrown);
      const reason = `${part} of the configuration could not be applied: ${message}`;
      this.#parts.log.error({ code }, reason);
      this.#parts.core.setReason('config', `${reason}; restart the agent to apply it`);
      return false;
    }
  }

  async #apply(part: ConfigPart, { effective }: ConfigDiff): Promise<void> {
    const { core, log, rescan, volumes, targets, feed } = this.#parts;
    switch (part) {
      case 'log.level':
        log.level = effective.log.level;
        return;
      case 'devices.rescanSeconds':
        rescan.setPeriod(effective.devices.rescanSeconds);
        return;
      case 'volumes.services': {
        const known = new Set(volumes.services.map(({ name }) => name));
        for (const service of effective.volumes.services) {
          if (!known.has(service.name)) volumes.addService(service);
        }
        core.changed('info');
        return;
      }
      case 'sync.targets':
        return targets.apply(effective.sync.targets);
      case 'mqtt':
        return feed.apply(effective.mqtt);
      default:
        // The rest waits for a start: `diff.restart`.
        return undefined;
    }
  }

  /** What is in force stays so, but the next start would fail on this file: somebody has to know. */
  #wrong(error: HoldfastError): void {
    const { core, log } = this.#parts;
    log.error({ code: error.code }, error.message);
    core.setReason('config', `the configuration files are wrong and not applied: ${error.message}`);
  }
}
