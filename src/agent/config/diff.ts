import { isDeepStrictEqual } from 'node:util';
import { overlap } from './check.ts';
import type { Config } from './config.ts';

/** The parts a running agent can tell apart. */
export type ConfigPart =
  | 'engine.backend'
  | 'engine.historyHours'
  | 'http.listen'
  | 'http.group'
  | 'log.level'
  | 'devices.rescanSeconds'
  | 'devices.ignore'
  | 'volumes.services'
  | 'volumes.bootDeadlineSeconds'
  | 'sync.root'
  | 'sync.targets'
  | 'mqtt';

export interface ConfigDiff {
  /** Parts that differ and can be applied to the running agent; `effective` holds their new values. */
  readonly live: readonly ConfigPart[];
  /** Parts that differ and take effect at the next start; `effective` keeps their old values. */
  readonly restart: readonly ConfigPart[];
  /** What the running agent should follow from now on. */
  readonly effective: Config;
}

/**
 * What changes between the configuration in force and the one in the files. Services may be added
 * live; changing or removing one under its volumes needs a restart, and until then it stays.
 */
export function diffConfig(running: Config, wanted: Config): ConfigDiff {
  const live: ConfigPart[] = [];
  const restart: ConfigPart[] = [];
  const note = (list: ConfigPart[], part: ConfigPart, was: unknown, is: unknown): void => {
    if (!isDeepStrictEqual(was, is)) list.push(part);
  };
  note(restart, 'engine.backend', running.engine.backend, wanted.engine.backend);
  const { historyHours } = running.engine;
  note(restart, 'engine.historyHours', historyHours, wanted.engine.historyHours);
  note(restart, 'http.listen', running.http.listen, wanted.http.listen);
  note(restart, 'http.group', running.http.group, wanted.http.group);
  note(live, 'log.level', running.log.level, wanted.log.level);
  note(live, 'devices.rescanSeconds', running.devices.rescanSeconds, wanted.devices.rescanSeconds);
  const { ignore } = running.devices;
  note(restart, 'devices.ignore', ignore, wanted.devices.ignore);
  const { bootDeadlineSeconds } = running.volumes;
  note(
    restart,
    'volumes.bootDeadlineSeconds',
    bootDeadlineSeconds,
    wanted.volumes.bootDeadlineSeconds,
  );
  note(restart, 'sync.root', running.sync.root, wanted.sync.root);
  note(live, 'sync.targets', running.sync.targets, wanted.sync.targets);
  note(live, 'mqtt', running.mqtt, wanted.mqtt);
  const services = servicesToRun(running, wanted);
  note(live, 'volumes.services', running.volumes.services, services);
  note(restart, 'volumes.services', services, wanted.volumes.services);
  const effective: Config = {
    engine: running.engine,
    http: running.http,
    log: wanted.log,
    devices: { ...wanted.devices, ignore },
    volumes: { services, bootDeadlineSeconds },
    sync: { root: running.sync.root, targets: wanted.sync.targets },
    ...(wanted.mqtt === undefined ? {} : { mqtt: wanted.mqtt }),
  };
  return { live, restart, effective };
}

/** Those that run, and the new ones whose name and folder none of them has: a renamed one has to wait. */
function servicesToRun(running: Config, wanted: Config): Config['volumes']['services'] {
  const now = running.volumes.services;
  const added = wanted.volumes.services.filter((service) =>
    now.every(
      (other) =>
        other.name.toLowerCase() !== service.name.toLowerCase() &&
        !overlap(other.path, service.path),
    ),
  );
  return [...now, ...added];
}
