import { HoldfastError } from '../../../base/errors.ts';
import { isUuid } from '../../../base/ids.ts';
import type { Volume } from '../../../volumes/index.ts';
import type { Agent } from '../../agent.ts';
import { present, type Presented } from './presentation.ts';

export interface OfService {
  Params: { service: string };
}
export interface OfVolume {
  Params: { service: string; volume: string };
}

/** Service names have no case. @throws NotFound */
export function findService(agent: Agent, name: string): Presented {
  const found = agent.volumes.services.find(
    (service) => service.name.toLowerCase() === name.toLowerCase(),
  );
  if (found !== undefined) return present(found);
  throw new HoldfastError('NotFound', `no volume service "${name}"`);
}

/** By id, exactly: on these routes a name is none. @throws NotFound */
export async function findById(agent: Agent, presented: Presented, id: string): Promise<Volume> {
  const volume = await agent.volumes.get(id);
  if (volume.spec.id !== id) throw notFound(presented, id);
  return within(presented, volume, id);
}

/** By name, without regard to case: `?byName`. An id is no name. @throws NotFound */
export async function findByName(
  agent: Agent,
  presented: Presented,
  name: string,
): Promise<Volume> {
  if (isUuid(name)) throw notFound(presented, name);
  return within(presented, await agent.volumes.get(name), name);
}

/** Names and ids are the host's; a route shows only what is of its service. */
function within(presented: Presented, volume: Volume, ref: string): Volume {
  if (volume.spec.service === presented.service.name) return volume;
  throw notFound(presented, ref);
}

export function notFound({ service }: Presented, ref: string): HoldfastError {
  return new HoldfastError('NotFound', `service "${service.name}" has no volume "${ref}"`);
}
