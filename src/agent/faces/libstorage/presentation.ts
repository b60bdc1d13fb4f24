import type { Agent } from '../../agent.ts';
import type { Instance, ServiceConfig } from '../../../volumes/index.ts';
import type { Client } from './client.ts';
import type { InstanceId } from './headers.ts';
import { WireError } from './wire-error.ts';

/** What an instance needs to know of the agent. */
type Host = Pick<Agent, 'identity' | 'hostFacts'>;

/** How a configured service shows itself to libStorage clients. */
export interface Presented {
  readonly service: ServiceConfig;
  /** Clients look their executor up by it. */
  readonly driverName: string;
}

export function present(service: ServiceConfig): Presented {
  return { service, driverName: service.presentAs ?? service.driver };
}

/** JSON of a service; `instance` only when it was asked for. */
export function serviceInfo({ service, driverName }: Presented, instance?: object): object {
  return {
    name: service.name,
    ...(instance === undefined ? {} : { instance }),
    driver: {
      name: driverName,
      // A directory is what the reference's own directory driver, vfs, calls itself.
      type: service.driver === 'loop' ? 'block' : 'object',
      // We choose the device ourselves; a client needn't compute the next free one.
      nextDevice: { ignore: true, prefix: '', pattern: '' },
    },
  };
}

/** JSON of the client as an instance of this service. */
export function instanceInfo(agent: Host, presented: Presented, id: InstanceId): object {
  const { driver, service, fields } = id;
  return {
    instanceID: {
      id: instanceIdOf(agent, id),
      driver,
      service,
      ...(Object.keys(fields).length === 0 ? {} : { fields }),
    },
    name: presented.driverName === 'vfs' ? 'vfsInstance' : agent.hostFacts.hostname,
    providerName: '',
  };
}

/**
 * The sender's instance ID for this service: one that names the service wins over one that names its
 * driver; others are for other services.
 */
export function findInstanceId(
  client: Client,
  { service, driverName }: Presented,
): InstanceId | undefined {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  return (
    client.instanceIds.find((id) => same(id.service, service.name)) ??
    client.instanceIds.find((id) => same(id.driver, driverName))
  );
}

/** @throws WireError 400 */
export function requireInstanceId(client: Client, presented: Presented): InstanceId {
  const id = findInstanceId(client, presented);
  if (id !== undefined) return id;
  throw new WireError(400, 'missing instance ID', { service: presented.service.name });
}

export function toInstance(agent: Host, id: InstanceId): Instance {
  return { id: instanceIdOf(agent, id), driver: id.driver, service: id.service };
}

/** Whoever can reach us is on this host (unix socket, loopback): without an id it is this host. */
function instanceIdOf(agent: Host, { id }: InstanceId): string {
  return id === '' ? agent.identity.replicaId : id;
}
