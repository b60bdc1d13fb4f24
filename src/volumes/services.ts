import { HoldfastError } from '../base/errors.ts';
import type { ServiceConfig, VolumeSpec } from './volume.ts';

/** The configured services. They may grow while the agent runs; one never changes under its volumes. */
export class Services {
  #list: readonly ServiceConfig[];

  constructor(list: readonly ServiceConfig[]) {
    this.#list = [...list];
  }

  get list(): readonly ServiceConfig[] {
    return this.#list;
  }

  add(service: ServiceConfig): void {
    this.#list = [...this.#list, service];
  }

  /** @throws Unavailable when the volume's service is not configured (any more) */
  of({ name, service, driver }: VolumeSpec): ServiceConfig {
    const found = this.find(service, driver);
    if (found) return found;
    throw new HoldfastError(
      'Unavailable',
      `volume "${name}" belongs to the ${driver} service "${service}", which is not configured`,
      { hint: 'put it back under volumes.services; nothing of the volume was touched' },
    );
  }

  find(name: string, driver: string): ServiceConfig | undefined {
    return this.#list.find((service) => service.name === name && service.driver === driver);
  }
}
