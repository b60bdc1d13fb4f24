/**
 * What a verb asked of a volume comes to, given what is really there: pure. `nothing` = it is so
 * already, which makes every verb idempotent.
 */
import { HoldfastError } from '../base/errors.ts';
import type { Observation } from './drivers/driver.ts';
import type { PlanFacts } from './planner.ts';
import type { Attachment, Instance, Volume } from './volume.ts';

export interface Decision {
  readonly facts: PlanFacts;
  /** attach, detach: the attachments when it is done. */
  readonly attachments?: readonly Attachment[];
}

export type Decide = (volume: Volume, seen: Observation) => Decision | 'nothing';

export const decideMount: Decide = ({ status }, seen) =>
  seen.mountPoint === undefined ? { facts: factsOf(status.attachments, seen) } : 'nothing';

/** @throws Conflict when the image is gone: what is mounted is then the last there is of its data */
export const decideUnmount: Decide = ({ spec, status }, seen) => {
  if (seen.mountPoint !== undefined) refuseLastCopy(spec.name, seen, status.device);
  // A device that neither a mount nor an attachment needs is left over: unmounting lets it go, too.
  const leftOver = seen.devices.length > 0 && status.attachments.length === 0;
  if (seen.mountPoint === undefined && !leftOver) return 'nothing';
  return { facts: { ...factsOf(status.attachments, seen), mounted: false } };
};

/** @throws Conflict when another instance has it and `force` is not given */
export function decideAttach(instance: Instance, force: boolean, now: AttachmentTime): Decide {
  return ({ spec, status }, seen) => {
    const others = status.attachments.filter((one) => !isOf(one, instance));
    if (others.length > 0 && !force) {
      const [first] = others;
      throw new HoldfastError(
        'Conflict',
        `volume "${spec.name}" is attached to ${first?.instanceId} since ${first?.attachedAt}`,
        { hint: 'detach it there first; `force` takes it away from there' },
      );
    }
    const mine = status.attachments.find((one) => isOf(one, instance) && isThere(one, seen));
    if (mine && others.length === 0) return 'nothing';
    const made = mine ?? attachmentOf(instance, now);
    return {
      facts: { ...factsOf(status.attachments, seen), attachmentsAfter: 1 },
      attachments: [made],
    };
  };
}

/** @param instance undefined = all. @throws Conflict while somebody mounted its device elsewhere */
export function decideDetach(instance: Instance | undefined, force: boolean): Decide {
  return ({ spec, status }, seen) => {
    const left = instance ? status.attachments.filter((one) => !isOf(one, instance)) : [];
    if (left.length === status.attachments.length) return 'nothing';
    // Our own mount keeps the device anyway, and any process in a mount namespace of its own (a
    // container, a service with PrivateTmp) may have a copy of that mount.
    const released = seen.devices.length > 0 && seen.mountPoint === undefined && left.length === 0;
    const busy = released && seen.otherMounts.length > 0;
    if (busy && !force) {
      throw new HoldfastError(
        'Conflict',
        `volume "${spec.name}" is still mounted at ${seen.otherMounts.join(', ')}`,
        { hint: 'unmount it there first; with `force` only the attachment is forgotten' },
      );
    }
    if (left.length === 0 && seen.mountPoint === undefined && !force)
      refuseLastCopy(spec.name, seen, status.device);
    const facts = { ...factsOf(status.attachments, seen), attachmentsAfter: left.length };
    // Whoever mounted the device keeps it: taking it from under a mount loses data.
    return { facts: busy ? { ...facts, mounted: true } : facts, attachments: left };
  };
}

/** @throws Conflict while mounted anywhere; without `force` also when attached, or when its data is not there */
export function decideRemove(force: boolean): Decide {
  return ({ spec, status }, seen) => {
    const mounts = [
      ...(seen.mountPoint === undefined ? [] : [seen.mountPoint]),
      ...seen.otherMounts,
    ];
    if (mounts.length > 0) {
      throw new HoldfastError(
        'Conflict',
        `volume "${spec.name}" is mounted at ${mounts.join(', ')}; nothing was removed`,
        { hint: 'unmount it first' },
      );
    }
    const [attached] = status.attachments;
    if (attached && !force) {
      throw new HoldfastError(
        'Conflict',
        `volume "${spec.name}" is attached to ${attached.instanceId}; nothing was removed`,
        { hint: 'detach it first, or remove it with force' },
      );
    }
    if (!seen.present && !force) {
      // Absence is not deletion: the disk that holds it may only be unplugged.
      throw new HoldfastError(
        'Conflict',
        `the data of volume "${spec.name}" is not at ${seen.path}; the volume is kept`,
        { hint: 'is its disk there and mounted? With force only the record of it is removed' },
      );
    }
    return { facts: { ...factsOf(status.attachments, seen), attachmentsAfter: 0 } };
  };
}

/** The kernel keeps a deleted file for as long as its loop device lives, and no longer. */
function refuseLastCopy(
  name: string,
  { present, devices, path }: Observation,
  recorded: string | undefined,
): void {
  const [held] = [...devices, recorded];
  if (present || held === undefined) return;
  throw new HoldfastError(
    'Conflict',
    `volume "${name}": its image ${path} is not there any more, and ${held} may have the last copy of its data`,
    { hint: 'put the image back, or copy the files away; then umount and losetup -d by hand' },
  );
}

export interface AttachmentTime {
  readonly bootId: string;
  readonly attachedAt: string;
}

/** The device's name is known once it is attached: the `record` step fills it in. */
function attachmentOf(instance: Instance, { bootId, attachedAt }: AttachmentTime): Attachment {
  const { id, driver, service } = instance;
  return { instanceId: id, driver, service, deviceName: '', bootId, attachedAt };
}

/** libStorage compares instance ids without case. */
function isOf(attachment: Attachment, { id }: Instance): boolean {
  return attachment.instanceId.toLowerCase() === id.toLowerCase();
}

/** A dir has no device that could have gone. */
function isThere({ deviceName }: Attachment, { devices, path }: Observation): boolean {
  return deviceName === path || devices.includes(deviceName);
}

function factsOf(attachments: readonly Attachment[], seen: Observation): PlanFacts {
  return {
    attachmentsAfter: attachments.length,
    mounted: seen.mountPoint !== undefined,
    attached: seen.devices.length > 0,
  };
}
