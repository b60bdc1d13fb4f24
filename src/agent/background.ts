import type { Logger } from 'pino';
import { readInventory, watchBlockDevices } from '../devices/index.ts';
import type { VolumeManager } from '../volumes/index.ts';
import { Ballast } from './ballast.ts';
import { ConfigWatcher, type Config } from './config/index.ts';
import type { AgentCore } from './core.ts';
import { LiveConfig } from './live-config.ts';
import { configOptions, type Paths } from './paths.ts';
import { Rescan } from './rescan.ts';
import type { ServiceRunner } from './service.ts';
import { StatusFeed } from './status-feed.ts';
import { StoreHealth } from './store-health.ts';
import { watchdog, watchdogPeriodMs, type Notifier } from './systemd.ts';
import { Targets } from './targets.ts';
import type { Teller } from './teller.ts';
import type { VolumeHealth } from './volume-health.ts';

export interface Background {
  readonly core: AgentCore;
  readonly runner: ServiceRunner;
  readonly log: Logger;
  readonly teller: Teller;
  readonly volumes: VolumeManager;
  readonly health: VolumeHealth;
  readonly notifier: Notifier;
  readonly paths: Paths;
  readonly config: Config;
}

/** Starts what ticks and what may wait for ever: all that READY must not wait for. */
export async function startBackground(parts: Background): Promise<void> {
  const { core, runner, log, teller, volumes, health, notifier, paths, config } = parts;
  const periodMs = watchdogPeriodMs();
  if (periodMs !== undefined) runner.start(watchdog(core.engine, notifier, periodMs));
  const store = new StoreHealth(core, teller, new Ballast(paths.stateDir));
  const lookAtVolumes = async (): Promise<void> => {
    await store.look();
    await health.look();
  };
  const rescan = new Rescan(core, config.devices.rescanSeconds, lookAtVolumes, (hint) => {
    try {
      return watchBlockDevices(hint);
    } catch (thrown) {
      log.warn({ err: thrown }, 'the kernel can not be heard; devices are looked at by the clock');
      return () => undefined;
    }
  });
  runner.start(rescan);
  runner.start(health);
  const targets = new Targets(core, runner, log, config.sync.root);
  const feed = new StatusFeed(core, runner, log);
  const live = new LiveConfig({ core, log, teller, rescan, volumes, targets, feed });
  const load = configOptions(paths);
  runner.start(new ConfigWatcher({ load, running: config, ...live.handlers }));
  await targets.apply(config.sync.targets);
  await feed.apply(config.mqtt);
  // It forks and takes a while; it never rejects, and nothing waits for it.
  void readInventory(core.hostFacts).then((facts) => core.setHostFacts(facts));
}
