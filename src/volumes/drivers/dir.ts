import { formatBytes } from '../../base/bytes.ts';
import { HoldfastError } from '../../base/errors.ts';
import type { MountEntry } from '../../devices/index.ts';
import type { OperationKind, Step } from '../planner.ts';
import type { ServiceConfig, Volume, VolumeSpec } from '../volume.ts';
import {
  PRIVATE_MODE,
  type Driver,
  type DriverSite,
  type KernelView,
  type Observation,
  type StepContext,
  type StepTable,
} from './driver.ts';

/** The volume's own directory, for whoever it is bind-mounted for: the service folder above lets only root in. */
const VOLUME_MODE = 0o755;

/**
 * A directory `<service.path>/<id>`. Works without root. "Mounted" is a word in the record only: the
 * mount point is that directory. The size is what was asked for and is not enforced.
 */
export class DirDriver implements Driver {
  readonly name = 'dir';
  readonly privileged: ReadonlySet<OperationKind> = new Set();
  readonly #site: DriverSite;
  readonly #steps: StepTable;

  constructor(site: DriverSite) {
    this.#site = site;
    this.#steps = {
      'make-directory': (context) => this.#makeDirectory(context),
      'check-directory': (context) => this.#checkDirectory(context),
      unmount: async ({ found }) => {
        found.mountPoint = null;
      },
      'remove-directory': async ({ volume, service }) =>
        site.hostOps.removeDirectory(await this.#path(volume.spec, service)),
      'trash-directory': (context) => this.#trash(context),
      'delete-trash': (context) => this.#deleteTrash(context),
    };
  }

  async checkRoom(spec: VolumeSpec, service: ServiceConfig): Promise<void> {
    await this.#site.hostOps.ensureDirectory(service.path, PRIVATE_MODE);
    const { totalBytes } = await this.#site.hostOps.space(service.path);
    if (spec.sizeBytes <= totalBytes) return;
    throw new HoldfastError(
      'NoSpace',
      `${spec.sizeBytes} bytes (${formatBytes(spec.sizeBytes)}) asked, larger than the file system of service "${service.name}" with ${totalBytes} (${formatBytes(totalBytes)})`,
      { hint: `ask for less, or move ${service.path} to a larger file system` },
    );
  }

  async observe(volume: Volume, service: ServiceConfig, view: KernelView): Promise<Observation> {
    const path = await this.#path(volume.spec, service);
    const facts = await this.#site.hostOps.inspect(path);
    const { mountPoint, bootId } = volume.status;
    const mounted =
      mountPoint === path && bootId === this.#site.bootId && facts?.kind === 'directory';
    return {
      path,
      present: facts !== undefined,
      devices: [],
      ...(mounted ? { mountPoint: path } : {}),
      otherMounts: mountsOf(path, view.mounts, view.everywhere),
      ...problemOf(path, facts?.kind),
    };
  }

  async run(step: Step, context: StepContext): Promise<void> {
    const work = this.#steps[step];
    if (!work) throw new HoldfastError('Internal', `the dir driver has no step ${step}`);
    await work(context);
  }

  async #makeDirectory({ volume, service }: StepContext): Promise<void> {
    await this.#site.hostOps.ensureDirectory(service.path, PRIVATE_MODE);
    await this.#site.hostOps.makeDirectory(await this.#path(volume.spec, service), VOLUME_MODE);
  }

  async #checkDirectory({ volume, service, found, kind }: StepContext): Promise<void> {
    const path = await this.#path(volume.spec, service);
    const facts = await this.#site.hostOps.inspect(path);
    const { problem } = problemOf(path, facts?.kind);
    if (problem)
      throw new HoldfastError('Corrupt', problem.message, {
        cause: problem,
        hint: `is the file system of ${service.path} mounted?`,
      });
    if (kind === 'mount') found.mountPoint = path;
    else found.device = path;
  }

  async #trash({ volume, service }: StepContext): Promise<void> {
    const path = await this.#path(volume.spec, service);
    await this.#refuseMountsOf(path);
    await this.#site.hostOps.rename(path, await this.#trashPath(volume.spec, service));
  }

  async #deleteTrash({ volume, service, signal }: StepContext): Promise<void> {
    const trash = await this.#trashPath(volume.spec, service);
    // Again: a mount made since then moved along with the rename, and deleting must not reach into it.
    await this.#refuseMountsOf(trash);
    await this.#site.hostOps.deleteTree(trash, signal);
  }

  async #refuseMountsOf(path: string): Promise<void> {
    const { hostOps } = this.#site;
    const mounts = mountsOf(path, await hostOps.mounts(), await hostOps.mountsEverywhere());
    if (mounts.length === 0) return;
    throw new HoldfastError(
      'Conflict',
      `${path} is still mounted, or has something mounted in it, at ${mounts.join(', ')}`,
      {
        hint: 'unmount that first; nothing was deleted',
      },
    );
  }

  async #path(spec: VolumeSpec, service: ServiceConfig): Promise<string> {
    return `${await this.#site.hostOps.realPath(service.path)}/${spec.id}`;
  }

  async #trashPath(spec: VolumeSpec, service: ServiceConfig): Promise<string> {
    return `${await this.#site.hostOps.realPath(service.path)}/.trash-${spec.id}`;
  }
}

function problemOf(path: string, kind: string | undefined): Pick<Observation, 'problem'> {
  if (kind === 'directory') return {};
  if (kind === undefined)
    return { problem: { code: 'DataMissing', message: `the directory ${path} is not there` } };
  return {
    problem: { code: 'DataWrong', message: `${path} should be a directory, but it is a ${kind}` },
  };
}

/**
 * Mount points inside the directory, and bind mounts of it, or of something in it, elsewhere.
 * @param mounts of our own namespace: only there is `path` what we mean by it
 */
export function mountsOf(
  path: string,
  mounts: readonly MountEntry[],
  everywhere: readonly MountEntry[] = mounts,
): string[] {
  const within = (child: string, parent: string): boolean =>
    child === parent || child.startsWith(`${parent}/`);
  const holder = mounts
    .filter((mount) => mount.mountPoint === '/' || within(path, mount.mountPoint))
    .reduce<MountEntry | undefined>(
      (best, mount) => (best && best.mountPoint.length > mount.mountPoint.length ? best : mount),
      undefined,
    );
  const found = everywhere.filter((mount) => within(mount.mountPoint, path));
  if (holder && !within(holder.mountPoint, path)) {
    // A bind mount shows in its `root` field where in the file system it starts (proc(5)).
    const inside = joinRoot(
      holder.root,
      path.slice(holder.mountPoint === '/' ? 0 : holder.mountPoint.length),
    );
    const sameFs = everywhere.filter(
      (mount) => mount.major === holder.major && mount.minor === holder.minor,
    );
    found.push(...sameFs.filter((mount) => within(mount.root, inside)));
  }
  return [...new Set(found.map((mount) => mount.mountPoint))];
}

function joinRoot(root: string, rest: string): string {
  return root === '/' ? rest : `${root}${rest}`;
}
