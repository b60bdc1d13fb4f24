/**
 * The boot story: `runAgent` reads top to bottom as what happens between power-on and a served host.
 * Nothing before READY waits for a network; what may wait for ever starts after it.
 */
import { untilAborted } from '../base/abort.ts';
import { systemClock } from '../base/clock.ts';
import { DeviceRegistry, readHostFacts } from '../devices/index.ts';
import { VolumeManager } from '../volumes/index.ts';
import { startBackground } from './background.ts';
import { Closing, stopSignal } from './closing.ts';
import { loadConfig } from './config/index.ts';
import { AgentCore } from './core.ts';
import { beginEpoch, readBootId } from './epoch.ts';
import { EngineEventRing } from './event-ring.ts';
import { failpoint } from './failpoint.ts';
import { createHttpServer } from './http.ts';
import { createLogger } from './log.ts';
import { configOptions, type Paths } from './paths.ts';
import { startReport } from './report.ts';
import { ServiceRunner } from './service.ts';
import { Notifier } from './systemd.ts';
import { Teller } from './teller.ts';
import { trimHeap } from './trim-heap.ts';
import { openTruth } from './truth.ts';
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
    const { engine, state, store, verdict } = await openTruth(paths, config, options, closing);
    const bootId = await readBootId();
    const epoch = await beginEpoch(engine, bootId);
    const events = new EngineEventRing({ engine, epoch });
    const teller = new Teller(events, log);
    const { identity, outcome, note } = verdict;
    if (note !== undefined) teller.tell(`host.${outcome}`, identity.replicaId, note);

    // What hardware is there? An unchanged scan writes nothing.
    const devices = new DeviceRegistry({ store, ignore: config.devices.ignore });
    devices.subscribe(({ type, device, message }) => {
      teller.tell(`device.${type}`, device.id, message);
    });
    await devices.load();
    // A look that fails keeps no volume down: the re-scan tries again, and says so.
    await devices.scan().catch((thrown: unknown) => log.error({ err: thrown }, 'the scan failed'));

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
    const host = { identity, hostFacts: readHostFacts() };
    const core = new AgentCore({ epoch, ...host, engine, devices, volumes, events, runner });
    const health = new VolumeHealth(core, volumes);
    await health.recover();

    // From here on others may ask; /readyz still says no.
    const { listen, group } = config.http;
    const http = createHttpServer(core, { socketPath: paths.socket, group, listen, log });
    closing.first(() => http.close());
    await http.listen();

    const notifier = new Notifier();
    await health.mountAtBoot(config.volumes.bootDeadlineSeconds, notifier, stop);
    if (!stop.aborted) {
      core.enter('running');
      const failure = notifier.send(`READY=1\nSTATUS=${core.state().state}`);
      if (failure) log.warn({ err: failure }, 'systemd could not be told that the agent is ready');
      process.stdout.write(await startReport(core, paths, performance.now(), options.format));
      teller.tell('agent.ready', identity.replicaId, `the agent is ${core.state().state}`);
      await startBackground({
        core,
        runner,
        log,
        teller,
        volumes,
        health,
        notifier,
        paths,
        config,
      });
      await restUntil(stop);
    }
    log.info('stopping; mounts stay as they are');
    notifier.send('STOPPING=1');
    core.enter('stopping');
    teller.tell('agent.stopping', identity.replicaId, 'asked to stop');
  } catch (thrown) {
    closing.because(thrown);
    throw thrown;
  } finally {
    await closing.close();
  }
}

/** Runs on what was started; gives back the memory of the start on the way. */
async function restUntil(stop: AbortSignal): Promise<void> {
  await systemClock.sleep(TRIM_AFTER_MS, stop);
  if (!stop.aborted) await trimHeap();
  await untilAborted(stop);
}
