import { formatBytes } from '../base/bytes.ts';
import type { AgentCore } from './core.ts';
import type { Paths } from './paths.ts';

/** What a person who started the agent by hand wants to see first; as JSON one line for a program. */
export async function startReport(
  core: AgentCore,
  paths: Paths,
  readyMs: number,
  format: 'table' | 'json',
): Promise<string> {
  const { hostFacts: host, identity } = core;
  const { state, reasons } = core.state();
  const stats = await core.engine.stats();
  const devices = core.devices.list().filter((device) => device.present);
  const volumes = await core.volumes.list();
  const mounted = volumes.filter((volume) => volume.status.mountPoint !== undefined);
  if (format === 'json') {
    const { version, epoch } = core;
    const { replicaId } = identity;
    const { socket, stateDir } = paths;
    const line = {
      version,
      state,
      reasons,
      readyMs: Math.round(readyMs),
      replicaId,
      epoch,
      socket,
      stateDir,
    };
    return `${JSON.stringify(line)}\n`;
  }
  return [
    `holdfast ${core.version} is ${state} after ${Math.round(readyMs)} ms`,
    ...reasons.map((reason) => `  because  ${reason}`),
    `  host     ${host.hostname}, ${host.os}, ${host.cores} cores, ${formatBytes(host.memoryBytes)} (replica ${identity.replicaId})`,
    `  engine   ${stats.backend}, revision ${stats.revision}, ${stats.keys} keys`,
    `  devices  ${devices.map((device) => `${device.name} ${formatBytes(device.sizeBytes)}`).join(', ') || 'none'}`,
    ...core.volumes.services.map(
      (service) => `  service  ${service.name}: ${service.driver} volumes in ${service.path}`,
    ),
    `  volumes  ${volumes.length} (${mounted.length} mounted)`,
    `  state    ${paths.stateDir}`,
    `  socket   ${paths.socket}`,
    '',
  ].join('\n');
}
