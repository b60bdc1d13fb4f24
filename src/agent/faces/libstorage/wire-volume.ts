import { GiB } from '../../../base/bytes.ts';
import type { Attachment, Volume } from '../../../volumes/index.ts';

/** Bits of the `attachments` query. */
const MINE = 2;
const DEVICES = 4;
const ONLY_ATTACHED = 8;
const ONLY_UNATTACHED = 16;

/** These can't be answered without knowing who asks. */
export const NEEDS_INSTANCE = MINE | DEVICES;

export const ATTACHED = 2;
export const AVAILABLE = 3;
export const UNAVAILABLE = 4;

/**
 * Of *all* attachments, before any filter: a volume that somebody else holds is unavailable, also to
 * a client that asked for its own attachments only. (The reference's vfs filters first and offers it.)
 */
export function attachmentState(attachments: readonly Attachment[], instanceId?: string): number {
  if (attachments.length === 0) return AVAILABLE;
  return attachments.some((attachment) => isOf(attachment, instanceId)) ? ATTACHED : UNAVAILABLE;
}

/** JSON of a volume under a mask, or undefined when the mask drops it. */
export function maskedVolume(
  volume: Volume,
  mask: number,
  instanceId?: string,
): object | undefined {
  const { attachments } = volume.status;
  if (mask === 0) return wireVolume(volume, {});
  const state = attachmentState(attachments, instanceId);
  if (isDropped(state, mask)) return undefined;
  const shown = mask & MINE ? attachments.filter((one) => isOf(one, instanceId)) : attachments;
  return wireVolume(volume, { attachments: shown, state });
}

function isDropped(state: number, mask: number): boolean {
  const attached = (mask & ONLY_ATTACHED) !== 0;
  const unattached = (mask & ONLY_UNATTACHED) !== 0;
  if (state === AVAILABLE) return attached && !unattached;
  if (unattached && !attached) return true;
  return (mask & MINE) !== 0 && attached && state === UNAVAILABLE;
}

/** Instance ids have no case. */
export function isOf(attachment: Attachment, instanceId?: string): boolean {
  return attachment.instanceId.toLowerCase() === instanceId?.toLowerCase();
}

interface Shown {
  readonly attachments?: readonly Attachment[];
  readonly state?: number;
}

/** Members in the reference's order; zero values are left out where its Go types say `omitempty`. */
export function wireVolume({ spec, status }: Volume, { attachments = [], state }: Shown): object {
  return {
    ...(attachments.length === 0
      ? {}
      : { attachments: attachments.map((one) => wireAttachment(one, spec.id)) }),
    attachmentState: state,
    availabilityZone: spec.availabilityZone || undefined,
    iops: spec.iops || undefined,
    name: spec.name,
    size: Math.ceil(spec.sizeBytes / GiB) || undefined,
    status: status.phase === 'ready' ? undefined : status.phase,
    id: spec.id,
    type: spec.type ?? '',
    ...(Object.keys(spec.fields).length === 0 ? {} : { fields: spec.fields }),
  };
}

function wireAttachment(
  { instanceId, driver, service, deviceName }: Attachment,
  volumeID: string,
): object {
  return {
    deviceName,
    instanceID: { id: instanceId, driver, service },
    status: 'attached',
    volumeID,
  };
}
