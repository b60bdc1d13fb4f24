import { dirname } from 'node:path';
import { formatBytes } from '../../base/bytes.ts';
import { HoldfastError } from '../../base/errors.ts';
import type { MountEntry } from '../../devices/index.ts';
import type { FileFacts, LoopFacts } from '../hostops.ts';
import type { OperationKind, Step } from '../planner.ts';
import type { FsType, ServiceConfig, Volume, VolumeSpec } from '../volume.ts';
import {
  PRIVATE_MODE,
  type Driver,
  type DriverSite,
  type KernelView,
  type Observation,
  type StepContext,
  type StepTable,
} from './driver.ts';
import { devicesOver, deviceToUse } from './image-devices.ts';

/**
 * An image file `<service.path>/<id>.img` with ext4 or xfs on it, served by a loop device with direct
 * I/O. Creating works without root; attaching and mounting don't.
 */
export class LoopDriver implements Driver {
  readonly name = 'loop';
  readonly privileged: ReadonlySet<OperationKind> = new Set([
    'mount',
    'unmount',
    'attach',
    'detach',
  ]);
  readonly #site: DriverSite;
  readonly #steps: StepTable;

  constructor(site: DriverSite) {
    this.#site = site;
    this.#steps = {
      'allocate-image': (context) => this.#allocate(context),
      format: (context) => this.#format(context),
      'check-image': (context) => this.#checkImage(context),
      'attach-loop': (context) => this.#attach(context),
      'verify-fs': (context) => this.#verifyFs(context),
      'make-mount-point': (context) => this.#makeMountPoint(context),
      mount: (context) => this.#mount(context),
      unmount: (context) => this.#unmount(context),
      'remove-mount-point': (context) => this.#removeMountPoint(context),
      'detach-loop': (context) => this.#detach(context),
      'unlink-image': (context) => this.#unlinkImage(context),
    };
  }

  async checkRoom(spec: VolumeSpec, service: ServiceConfig): Promise<void> {
    await this.#site.hostOps.ensureDirectory(service.path, PRIVATE_MODE);
    const { totalBytes, freeBytes } = await this.#site.hostOps.space(service.path);
    const [limit, words] = spec.preallocate
      ? [freeBytes, 'more than what is free on']
      : [totalBytes, 'larger than'];
    if (spec.sizeBytes <= limit) return;
    throw new HoldfastError(
      'NoSpace',
      `${spec.sizeBytes} bytes (${formatBytes(spec.sizeBytes)}) asked, ${words} the file system of service "${service.name}": ` +
        `${freeBytes} (${formatBytes(freeBytes)}) free of ${totalBytes} (${formatBytes(totalBytes)})`,
      { hint: `ask for less, or free space on ${service.path}` },
    );
  }

  async observe(volume: Volume, service: ServiceConfig, view: KernelView): Promise<Observation> {
    const path = await this.#image(volume.spec, service);
    const target = await this.#target(volume.spec);
    const facts = await this.#site.hostOps.inspect(path);
    const here = view.mounts.filter((mount) => mount.mountPoint === target);
    const { status } = volume;
    // An image that was moved away is served on: what the record calls its device in this boot, and is
    // mounted at its own mount point, can't be another's.
    const recorded = view.loops.filter(
      (loop) =>
        loop.path === status.device &&
        status.bootId === this.#site.bootId &&
        here.some((mount) => isOn(mount, loop)),
    );
    const loops = [...new Set([...devicesOver(view.loops, path, facts), ...recorded])];
    const own = here.find((mount) => loops.some((loop) => isOn(mount, loop)));
    const others = (view.everywhere ?? view.mounts).filter(
      (mount) => mount.mountId !== own?.mountId && loops.some((loop) => isOn(mount, loop)),
    );
    const foreign = here.find((mount) => mount !== own);
    return {
      path,
      present: facts !== undefined,
      devices: loops.map((loop) => loop.path),
      ...(own ? { mountPoint: target } : {}),
      otherMounts: [...new Set(others.map((mount) => mount.mountPoint))],
      ...problemOf(volume.spec, path, facts, foreign),
    };
  }

  async run(step: Step, context: StepContext): Promise<void> {
    const work = this.#steps[step];
    if (!work) throw new HoldfastError('Internal', `the loop driver has no step ${step}`);
    await work(context);
  }

  async #allocate(context: StepContext): Promise<void> {
    const { volume, service, redo, signal, found } = context;
    const { sizeBytes, preallocate = false } = volume.spec;
    const path = await this.#image(volume.spec, service);
    await this.#site.hostOps.ensureDirectory(service.path, PRIVATE_MODE);
    // A new inode, not a second mkfs on the old one: if a mkfs of the interrupted run were still
    // alive it would write into a file that has no name any more. One that is attached is in use: the
    // journal is older than the image (a state folder put back), and it stays.
    if (redo) await this.#unlinkImage(context);
    found.image = await this.#site.hostOps.createImage({ path, sizeBytes, preallocate }, signal);
  }

  async #format({ volume, service, signal, found }: StepContext): Promise<void> {
    const { spec, status } = volume;
    if (!found.image || !status.fsUuid || !spec.fsType) {
      throw new HoldfastError(
        'Internal',
        `volume ${spec.id}: format without an image made by this operation`,
      );
    }
    await this.#site.hostOps.format(
      {
        path: await this.#image(spec, service),
        identity: found.image,
        sizeBytes: spec.sizeBytes,
        fsType: spec.fsType,
        uuid: status.fsUuid,
        label: labelOf(spec),
        preallocate: spec.preallocate ?? false,
      },
      signal,
    );
  }

  async #checkImage({ volume, service }: StepContext): Promise<void> {
    const path = await this.#image(volume.spec, service);
    const { problem } = problemOf(
      volume.spec,
      path,
      await this.#site.hostOps.inspect(path),
      undefined,
    );
    if (!problem) return;
    throw new HoldfastError('Corrupt', problem.message, {
      cause: problem,
      hint: `is the file system of ${service.path} mounted? Nothing was changed`,
    });
  }

  async #attach({ volume, service, found }: StepContext): Promise<void> {
    const path = await this.#image(volume.spec, service);
    const { loops, file } = await this.#over(path);
    const device = deviceToUse(loops, path, file) ?? (await this.#site.hostOps.attachLoop(path));
    found.device = device;
    const sizeBytes = await this.#site.hostOps.deviceSize(device);
    if (sizeBytes === volume.spec.sizeBytes) return;
    throw new HoldfastError(
      'Corrupt',
      `${device} over ${path} has ${sizeBytes} bytes, the record says ${volume.spec.sizeBytes}`,
    );
  }

  async #verifyFs({ volume, signal, found }: StepContext): Promise<void> {
    const { spec, status } = volume;
    const device = found.device;
    if (!device)
      throw new HoldfastError('Internal', `volume ${spec.id}: nothing is attached to verify`);
    const { type, uuid } = await this.#site.hostOps.probe(device, signal);
    if (type === spec.fsType && uuid !== undefined && uuid === status.fsUuid) return;
    throw new HoldfastError(
      'Corrupt',
      `volume "${spec.name}": the record says ${spec.fsType} ${status.fsUuid}, but ${device} has ${type ?? 'no file system that is recognised'}${uuid ? ` ${uuid}` : ''}`,
      {
        hint: 'the image was replaced, formatted again or damaged; it is not mounted and nothing was changed',
      },
    );
  }

  async #makeMountPoint({ volume }: StepContext): Promise<void> {
    const { hostOps, mountRoot } = this.#site;
    await hostOps.ensureDirectory(mountRoot, PRIVATE_MODE);
    const target = await this.#target(volume.spec);
    await hostOps.makeDirectory(dirname(target), PRIVATE_MODE);
    await hostOps.makeDirectory(target, PRIVATE_MODE);
  }

  async #mount(context: StepContext): Promise<void> {
    const { hostOps } = this.#site;
    const { volume, found } = context;
    const { spec } = volume;
    if (!found.device || !spec.fsType)
      throw new HoldfastError('Internal', `volume ${spec.id}: nothing is attached to mount`);
    const target = await this.#target(spec);
    if (!(await this.#isMounted(context, target))) {
      await this.#refuseHiding(target);
      const { device } = found;
      await hostOps.mount({ device, target, fsType: spec.fsType, data: dataOf(spec) });
      if (!(await this.#isMounted(context, target))) {
        throw new HoldfastError(
          'HostFailed',
          `mounted ${device}, but the kernel's mount table doesn't show it at ${target}`,
        );
      }
    }
    found.mountPoint = target;
  }

  async #refuseHiding(target: string): Promise<void> {
    const hidden = (await this.#site.hostOps.readDirectory(target)) ?? [];
    if (hidden.length === 0) return;
    throw new HoldfastError(
      'Conflict',
      `the mount point ${target} holds ${hidden.length} entries that the mount would hide`,
      { hint: 'somebody wrote there while the volume was not mounted: move them away' },
    );
  }

  /** @throws Conflict when something else is there: never mount on top of it */
  async #isMounted(context: StepContext, target: string): Promise<boolean> {
    const { own, foreign } = await this.#mountsAt(context, target);
    if (foreign) throw takenBy(foreign);
    return own !== undefined;
  }

  async #mountsAt({ volume, service }: StepContext, target: string) {
    const { loops } = await this.#over(await this.#image(volume.spec, service));
    const mounts = await this.#site.hostOps.mounts();
    const here = mounts.filter((mount) => mount.mountPoint === target);
    const isOwn = (mount: MountEntry): boolean => loops.some((loop) => isOn(mount, loop));
    return { own: here.find(isOwn), foreign: here.find((mount) => !isOwn(mount)) };
  }

  async #unmount(context: StepContext): Promise<void> {
    const { volume, found, kind } = context;
    const target = await this.#target(volume.spec);
    const { own, foreign } = await this.#mountsAt(context, target);
    // A mount that failed because something else is there has nothing of its own to take back.
    if (foreign && kind === 'mount') return;
    if (foreign) throw takenBy(foreign);
    if (own) {
      try {
        await this.#site.hostOps.unmount(target);
      } catch (thrown) {
        if (!(thrown instanceof HoldfastError) || thrown.code !== 'Conflict') throw thrown;
        throw await this.#busy(volume, target, thrown);
      }
    }
    found.mountPoint = null;
  }

  async #busy({ spec }: Volume, target: string, cause: HoldfastError): Promise<HoldfastError> {
    const holders = await this.#site.hostOps.holders(target);
    const who = holders ? `${holders} process${holders === 1 ? '' : 'es'}` : 'something';
    return new HoldfastError(
      'Conflict',
      `volume "${spec.name}" is in use: ${who} below ${target} holds it; it stays mounted`,
      {
        cause,
        hint: `see who: fuser -vm ${target}`,
      },
    );
  }

  async #removeMountPoint({ volume }: StepContext): Promise<void> {
    const target = await this.#target(volume.spec);
    for (const path of [target, dirname(target)]) {
      try {
        await this.#site.hostOps.removeDirectory(path);
      } catch (thrown) {
        // Not empty or mounted on: somebody else's things are in it, so it stays.
        if (thrown instanceof HoldfastError && thrown.code === 'Conflict') return;
        throw thrown;
      }
    }
  }

  async #detach({ volume, service, kind, found }: StepContext): Promise<void> {
    const { loops } = await this.#over(await this.#image(volume.spec, service));
    for (const loop of loops) {
      try {
        await this.#site.hostOps.detachLoop(loop);
      } catch (thrown) {
        // The volume is unmounted, which is what was asked for; that somebody else (another mount
        // namespace, a prober) still has the device open stays in the record.
        if (kind !== 'unmount' || !(thrown instanceof HoldfastError) || thrown.code !== 'Conflict')
          throw thrown;
        found.device = loop.path;
        return;
      }
    }
    found.device = null;
  }

  async #unlinkImage({ volume, service }: StepContext): Promise<void> {
    const path = await this.#image(volume.spec, service);
    const { loops } = await this.#over(path);
    if (loops.length > 0) {
      throw new HoldfastError(
        'Conflict',
        `${path} is still attached to ${loops.map((loop) => loop.path).join(', ')}`,
        {
          hint: 'detach the volume first',
        },
      );
    }
    await this.#site.hostOps.unlink(path);
  }

  /** The image file, and the loop devices over it. */
  async #over(image: string) {
    const file = await this.#site.hostOps.inspect(image);
    return { file, loops: devicesOver(await this.#site.hostOps.loops(), image, file) };
  }

  /** Links resolved, because the kernel names a loop device's file so. */
  async #image(spec: VolumeSpec, service: ServiceConfig): Promise<string> {
    return `${await this.#site.hostOps.realPath(service.path)}/${spec.id}.img`;
  }

  /** Links resolved here as well: the mount table has no others. */
  async #target(spec: VolumeSpec): Promise<string> {
    const { hostOps, mountRoot } = this.#site;
    return `${await hostOps.realPath(mountRoot)}/${spec.id}/data`;
  }
}

function isOn(mount: MountEntry, loop: LoopFacts): boolean {
  return mount.major === loop.major && mount.minor === loop.minor;
}

function takenBy({ source, fsType, mountPoint }: MountEntry): HoldfastError {
  return new HoldfastError(
    'Conflict',
    `${mountPoint} has ${source} (${fsType}) mounted on it, which is not this volume`,
    { hint: `unmount it: umount ${mountPoint}` },
  );
}

/** Twelve characters at most (xfs): enough to find the volume again from a bare image. */
function labelOf(spec: VolumeSpec): string {
  return `hf-${spec.id.slice(-8)}`;
}

/** A sparse image gives deleted blocks back at once; a preallocated one keeps what it has. */
function dataOf(spec: VolumeSpec): string {
  const options: Record<FsType, string> = { ext4: 'discard', xfs: 'discard' };
  return spec.preallocate || !spec.fsType ? '' : options[spec.fsType];
}

function problemOf(
  spec: VolumeSpec,
  path: string,
  facts: FileFacts | undefined,
  foreign: MountEntry | undefined,
): Pick<Observation, 'problem'> {
  if (!facts)
    return { problem: { code: 'DataMissing', message: `the image ${path} is not there` } };
  if (facts.kind !== 'file')
    return {
      problem: {
        code: 'DataWrong',
        message: `${path} should be an image file, but it is a ${facts.kind}`,
      },
    };
  if (facts.sizeBytes !== spec.sizeBytes) {
    return {
      problem: {
        code: 'DataWrong',
        message: `the image ${path} has ${facts.sizeBytes} bytes, the record says ${spec.sizeBytes}`,
      },
    };
  }
  if (foreign) {
    return {
      problem: {
        code: 'MountPointTaken',
        message: `${foreign.mountPoint} has ${foreign.source} mounted on it, which is not this volume`,
      },
    };
  }
  return {};
}
