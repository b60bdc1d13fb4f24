/**
 * The boot story: `runAgent` reads top to bottom as what happens between power-on and a served host.
 * Nothing before READY waits for a network; what may wait for ever starts after it.
 */
import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import { knowHost, readHostFacts, readInventory, DeviceRegistry } from '../devices/index.ts';
import { openEngine } from '../engine/index.ts';
import { VolumeManager } from '../volumes/index.ts';
import { Closing, stopSignal } from './closing.ts';
import { ConfigWatcher, loadConfig, type Config } from './config/index.ts';
import { AgentCore } from './core.ts';
import { beginEpoch, readBootId } from './epoch.ts';
import { EngineEventRing } from './event-ring.ts';
import { engineFactStore } from './fact-store.ts';
import { failpoint } from './failpoint.ts';
import { createHttpServer } from './http.ts';
import { LiveConfig } from './live-config.ts';
import { createLogger } from './log.ts';
import { configOptions, type Paths } from './paths.ts';
import { startReport } from './report.ts';
import { Rescan } from './rescan.ts';
import { ServiceRunner } from './service.ts';
import { StateDir } from './state-dir.ts';
import { StatusFeed } from './status-feed.ts';
import { Notifier, watchdog, watchdogPeriodMs } from './systemd.ts';
import { Targets } from './targets.ts';
import { Teller } from './teller.ts';
import { trimHeap } from './trim-heap.ts';
import { VolumeHealth } from './volume-health.ts';

/** By then targets and broker were reached, or found to be away. */
const TRIM_AFTER_MS = 5_000;

export interface RunOptions {
  /** Take over a state folder that was made on another host. */
  readonly adoptState: boolean;
  readonly format: 'table' | 'json';
}

/** Runs until SIGTERM or SIGINT; unmounts nothing. @throws what keeps it from starting */
export async function runAgent(paths: Paths, options: RunOptions): Promise<void> {
  const stop = stopSignal();
  const { config } = await loadConfig(configOptions(paths));
  const log = createLogger(config.log.level, process.env['JOURNAL_STREAM'] !== undefined);
  const closing = new Closing(log);
  try {
    // Whose state is it, and is it whole? Until all of that is answered nothing is written.
    const state = await StateDir.open(paths.stateDir);
    const engine = await openEngine({ backend: config.engine.backend, path: state.enginePath });
    closing.last(() => engine.close());
    const store = engineFactStore(engine);
    const bootId = await readBootId();
    const host = await knowHost({ store, adopt: options.adoptState });
    const epoch = await beginEpoch(engine, bootId);
    const events = new EngineEventRing({ engine, epoch });
    const teller = new Teller(events, log);
    if (host.note !== undefined)
      teller.tell(`host.${host.outcome}`, host.identity.replicaId, host.note);

    // What hardware is there? An unchanged scan writes nothing.
    const devices = new DeviceRegistry({ store });
    devices.subscribe(({ type, device }) => {
      teller.tell(`device.${type}`, device.id, `${device.path} ${type}`);
    });
    await devices.load();
    await devices.scan();

    // The volumes as the last run left them: plans under way end, mounts that are there are taken over.
    const volumes = new VolumeManager({
      engine,
      services: config.volumes.services,
      mountRoot: state.mountRoot,
      bootId,
      onEvent: ({ type, subject, message }) => teller.tell(type, subject, message),
      onStep: failpoint(),
    });
    closing.first(() => volumes.close());
    const runner = new ServiceRunner(log);
    closing.first(() => runner.stopAll());
    const { identity } = host;
    const hostFacts = readHostFacts();
    const core = new AgentCore({
      epoch,
      identity,
      hostFacts,
      engine,
      devices,
      volumes,
      events,
      runner,
    });
    const health = new VolumeHealth(core, volumes);
    await health.recover();

    // From here on others may ask; /readyz still says no.
    const { listen, group } = config.http;
    const http = createHttpServer(core, { socketPath: paths.socket, group, listen, log });
    closing.first(() => http.close());
    await http.listen();

    const notifier = new Notifier();
    await health.mountAtBoot(config.volumes.bootDeadlineSeconds, notifier, stop);
    if (stop.aborted) return;

    core.enter('running');
    const failure = notifier.send(`READY=1\nSTATUS=${core.state().state}`);
    if (failure) log.warn({ err: failure }, 'systemd could not be told that the agent is ready');
    process.stdout.write(await startReport(core, paths, performance.now(), options.format));
    teller.tell(
      'agent.ready',
      identity.replicaId,
      `holdfast ${core.version} is ${core.state().state}`,
    );

    await startBackground({ core, runner, log, teller, volumes, health, notifier, paths, config });
    await systemClock.sleep(TRIM_AFTER_MS, stop);
    if (!stop.aborted) await trimHeap();

    await aborted(stop);
    log.info('stopping; mounts stay as they are');
    notifier.send('STOPPING=1');
    core.enter('stopping');
    teller.tell('agent.stopping', identity.replicaId, 'asked to stop');
  } finally {
    await closing.close();
  }
}

interface Background {
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

/** What ticks, and what may wait for ever. */
async function startBackground(parts: Background): Promise<void> {
  const { core, runner, log, teller, volumes, health, notifier, paths, config } = parts;
  const periodMs = watchdogPeriodMs();
  if (periodMs !== undefined) runner.start(watchdog(core.engine, notifier, periodMs));
  const rescan = new Rescan(core, config.devices.rescanSeconds, () => health.look());
  runner.start(rescan);
  runner.start(health);
  const targets = new Targets(core, runner, log, config.sync.root);
  const feed = new StatusFeed(core, runner, log);
  const live = new LiveConfig({ core, log, teller, rescan, volumes, targets, feed });
  const load = configOptions(paths);
  runner.start(new ConfigWatcher({ load, running: config, ...live.handlers }));
  await targets.apply(config.sync.targets);
  await feed.apply(config.mqtt);
  core.setHostFacts(await readInventory(core.hostFacts));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
