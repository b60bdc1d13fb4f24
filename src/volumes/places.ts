/**
 * Is a service's folder the one its volumes were made in? When its file system isn't mounted (a disk
 * that comes late, a typo in fstab), the path leads to an empty folder on the file system below: making
 * a volume there would fill the wrong disk, and redoing a removal would find nothing left to remove.
 *
 * So the folder holds an id in a file of its own, MARKER, and the engine the same id at
 * `services/<name>`. Both are written before the first volume of the service, the file first: a crash in
 * between leaves a marker that the next try takes over.
 */
import { HoldfastError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { KeyedLock } from '../base/keyed-lock.ts';
import type { Engine } from '../engine/index.ts';
import type { HostOps } from './hostops.ts';
import type { ServiceConfig } from './volume.ts';

export const MARKER = '.holdfast-service';
/** Ours: the volumes' data beside it is for nobody else either. */
const FOLDER_MODE = 0o700;

export class Places {
  readonly #engine: Engine;
  readonly #hostOps: HostOps;
  /** Two first volumes at once must not make two markers. */
  readonly #claims = new KeyedLock();

  constructor(engine: Engine, hostOps: HostOps) {
    this.#engine = engine;
    this.#hostOps = hostOps;
  }

  /** Before a volume is made. A service without volumes so far gets its folder and its marker. @throws Unavailable */
  claim(service: ServiceConfig): Promise<void> {
    return this.#claims.run(keyOf(service), () => this.#claim(service));
  }

  async #claim(service: ServiceConfig): Promise<void> {
    if ((await this.#known(service)) !== undefined) return this.check(service);
    await this.#hostOps.ensureDirectory(service.path, FOLDER_MODE);
    let id = await this.#hostOps.readMarker(service.path);
    if (id === undefined) {
      id = newId();
      await this.#hostOps.writeMarker(service.path, id);
    }
    await this.#engine.put(keyOf(service), Buffer.from(id));
  }

  /** Before anything that looks for a volume's data, or deletes it. @throws Unavailable */
  async check(service: ServiceConfig): Promise<void> {
    const known = await this.#known(service);
    if (known === undefined) return;
    const there = await this.#hostOps.readMarker(service.path);
    if (there === known) return;
    const what = there === undefined ? `there is no ${MARKER} in it` : `its ${MARKER} is another's`;
    throw new HoldfastError(
      'Unavailable',
      `service "${service.name}": ${service.path} isn't the folder that its volumes were made in: ${what}`,
      { hint: 'is its file system mounted? Nothing was changed' },
    );
  }

  async #known(service: ServiceConfig): Promise<string | undefined> {
    const kv = await this.#engine.get(keyOf(service));
    return kv && Buffer.from(kv.value).toString();
  }
}

/** Service names have no case. */
function keyOf({ name }: ServiceConfig): string {
  return `services/${name.toLowerCase()}`;
}
