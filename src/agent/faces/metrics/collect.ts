import { Gauge, Registry } from 'prom-client';
import { arch } from 'node:os';
import type { Agent } from '../../agent.ts';
import type { SyncState } from '../../../sync/index.ts';

const SYNC_STATES: readonly SyncState[] = [
  'connecting',
  'comparing',
  'current',
  'behind',
  'offline',
  'refused',
  'stopped',
];

/** One scrape: a registry of its own, so that a label which is gone (a volume, a target) is gone. */
export async function collect(agent: Agent): Promise<Registry> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `holdfast_${name}`, help, labelNames, registers: [registry] });
  collectProcess(agent, gauge);
  await collectEngine(agent, gauge);
  await collectVolumes(agent, gauge);
  collectDevices(agent, gauge);
  collectSync(agent, gauge);
  collectComponents(agent, gauge);
  return registry;
}

type MakeGauge = (name: string, help: string, labelNames?: string[]) => Gauge;

function collectProcess(agent: Agent, gauge: MakeGauge): void {
  gauge('build_info', 'Always 1; what is running', ['version', 'node', 'arch']).set(
    { version: agent.version, node: process.versions.node, arch: arch() },
    1,
  );
  const state = gauge('agent_state', '1 for the state the agent is in', ['state']);
  for (const name of ['starting', 'ready', 'degraded', 'stopping']) {
    state.set({ state: name }, agent.state().state === name ? 1 : 0);
  }
  gauge('process_resident_bytes', 'Resident memory of the agent').set(process.memoryUsage.rss());
  gauge('process_uptime_seconds', 'Time since the agent started').set(Math.floor(process.uptime()));
}

async function collectEngine(agent: Agent, gauge: MakeGauge): Promise<void> {
  const stats = await agent.engine.stats();
  gauge('engine_revision', 'Last durable revision').set(stats.revision);
  gauge('engine_compacted_revision', 'Newest revision that is gone from the change log').set(
    stats.compactedRevision,
  );
  gauge('engine_keys', 'Keys in the engine').set(stats.keys);
  gauge('engine_log_entries', 'Entries in the change log').set(stats.logEntries);
  gauge('engine_size_bytes', 'Size of the engine on disk', ['backend']).set(
    { backend: stats.backend },
    stats.sizeBytes,
  );
}

async function collectVolumes(agent: Agent, gauge: MakeGauge): Promise<void> {
  const count = gauge('volumes', 'Volumes by service and phase', ['service', 'phase']);
  const mounted = gauge('volumes_mounted', 'Mounted volumes by service', ['service']);
  const size = gauge('volumes_size_bytes', 'Sum of the sizes asked for, by service', ['service']);
  const sick = gauge('volumes_with_condition', 'Volumes that need a person, by service', [
    'service',
  ]);
  for (const service of agent.volumes.services) {
    sick.set({ service: service.name }, 0);
    mounted.set({ service: service.name }, 0);
    size.set({ service: service.name }, 0);
    for (const phase of ['creating', 'ready', 'removing', 'failed']) {
      count.set({ service: service.name, phase }, 0);
    }
  }
  for (const { spec, status } of await agent.volumes.list()) {
    const { service } = spec;
    count.inc({ service, phase: status.phase });
    size.inc({ service }, spec.sizeBytes);
    if (status.mountPoint !== undefined) mounted.inc({ service });
    if (status.condition) sick.inc({ service });
  }
}

function collectDevices(agent: Agent, gauge: MakeGauge): void {
  const devices = agent.devices.list();
  const present = devices.filter((device) => device.present).length;
  gauge('devices_present', 'Block devices that are there').set(present);
  gauge('devices_absent', 'Block devices seen before and not there now').set(
    devices.length - present,
  );
  gauge('devices_quarantined', 'Block devices that claim an identity which others claim, too').set(
    devices.filter((device) => device.present && device.quarantine !== undefined).length,
  );
}

function collectSync(agent: Agent, gauge: MakeGauge): void {
  const lag = gauge('sync_lag_revisions', 'Revisions the target has not acknowledged', ['target']);
  const cursor = gauge('sync_cursor_revision', 'Last revision the target acknowledged', ['target']);
  const parked = gauge('sync_parked_entries', 'Entries the target refused for good', ['target']);
  const state = gauge('sync_state', '1 for the state the target is in', ['target', 'state']);
  for (const status of agent.sync()) {
    const { target } = status;
    lag.set({ target }, status.lagRevisions);
    cursor.set({ target }, status.cursor);
    parked.set({ target }, status.parked);
    for (const name of SYNC_STATES)
      state.set({ target, state: name }, status.state === name ? 1 : 0);
  }
}

function collectComponents(agent: Agent, gauge: MakeGauge): void {
  const restarts = gauge('component_restarts', 'Restarts of a component', ['component']);
  const running = gauge('component_running', '1 when the component runs', ['component']);
  for (const component of agent.services()) {
    restarts.set({ component: component.id }, component.restarts);
    running.set({ component: component.id }, component.running ? 1 : 0);
  }
}
