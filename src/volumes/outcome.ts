/** What a record says after an operation: pure. */
import { toHoldfastError } from '../base/errors.ts';
import type { Observation, ProblemCode, StepFindings } from './drivers/driver.ts';
import type { JournalEntry } from './journal.ts';
import type { Attachment, Volume, VolumeStatus } from './volume.ts';

/** The record when all steps succeeded; undefined when the volume is gone. */
export function succeeded(
  entry: JournalEntry,
  volume: Volume,
  found: StepFindings,
  bootId: string,
): Volume | undefined {
  if (entry.kind === 'remove') return undefined;
  const { status } = volume;
  // Creating and mounting look at the data, so what was wrong with it is over; the others don't.
  const cures = entry.kind === 'create' || entry.kind === 'mount';
  return withStatus(volume, {
    ...status,
    condition: cures ? undefined : status.condition,
    phase: 'ready',
    ...place(volume, found, bootId),
    attachments: (entry.attachments ?? volume.status.attachments).map((one) =>
      located(one, found, bootId),
    ),
  });
}

/** The attachment that was just made; one that a crash interrupted is made in the boot that redoes it. */
function located(attachment: Attachment, found: StepFindings, bootId: string): Attachment {
  return attachment.deviceName === '' && found.device
    ? { ...attachment, deviceName: found.device, bootId }
    : attachment;
}

/** Device and mount point as the steps left them; a key set to undefined disappears from the JSON. */
function place(
  { spec, status }: Volume,
  found: StepFindings,
  bootId: string,
): Partial<VolumeStatus> {
  const foundDevice = found.device === undefined ? status.device : (found.device ?? undefined);
  // A directory is what an attachment names, but no device that holds it.
  const device = spec.driver === 'dir' ? undefined : foundDevice;
  const mountPoint =
    found.mountPoint === undefined ? status.mountPoint : (found.mountPoint ?? undefined);
  return { device, mountPoint, bootId: device || mountPoint ? bootId : undefined };
}

/** The record when it was rolled back: as before, plus what went wrong if the volume is to blame. */
export function rolledBack(entry: JournalEntry, thrown: unknown, at: string): Volume | undefined {
  if (entry.kind === 'create') return undefined;
  const { code } = toHoldfastError(thrown);
  // Being busy, or not root, says nothing about the volume's health.
  const blameless = code === 'Conflict' || code === 'PermissionDenied' || code === 'Cancelled';
  return blameless || entry.kind !== 'mount'
    ? entry.before
    : withCondition(entry.before, thrown, at);
}

/** The record when an operation is stuck: neither finished nor rolled back. */
export function stuckAs(entry: JournalEntry, volume: Volume, thrown: unknown, at: string): Volume {
  const phase = entry.kind === 'create' ? 'failed' : volume.status.phase;
  return withCondition(withStatus(volume, { ...volume.status, phase }), thrown, at);
}

const PROBLEM_CODES: Readonly<Record<ProblemCode, true>> = {
  DataMissing: true,
  DataWrong: true,
  MountPointTaken: true,
  ServiceNotConfigured: true,
};

/** The record brought in line with what the kernel says; the same object's content when nothing differs. */
export function reconciled(
  volume: Volume,
  seen: Omit<Observation, 'path' | 'present' | 'otherMounts'>,
  bootId: string,
  at: string,
): Volume {
  const { status } = volume;
  const isDir = volume.spec.driver === 'dir';
  const device = isDir
    ? undefined
    : (seen.devices.find((path) => path === status.device) ?? seen.devices[0]);
  const next: VolumeStatus = {
    ...status,
    device,
    mountPoint: seen.mountPoint,
    bootId: device || seen.mountPoint ? bootId : undefined,
    attachments: status.attachments.filter(
      (one) => one.bootId === bootId && (isDir || seen.devices.includes(one.deviceName)),
    ),
  };
  const changed = withStatus(volume, next);
  if (seen.problem) {
    const { code, message } = seen.problem;
    const known = status.condition?.code === code && status.condition.message === message;
    return known
      ? changed
      : withStatus(changed, { ...next, condition: { code, message, since: at } });
  }
  const cured = status.condition && Object.hasOwn(PROBLEM_CODES, status.condition.code);
  return cured ? withStatus(changed, { ...next, condition: undefined }) : changed;
}

function withCondition(volume: Volume, thrown: unknown, at: string): Volume {
  const { code: errorCode, message, cause } = toHoldfastError(thrown);
  // The same words as reconciling has for it, so that it is over when a later look finds it over.
  const code = isProblem(cause) ? cause.code : errorCode;
  return withStatus(volume, { ...volume.status, condition: { code, message, since: at } });
}

function isProblem(cause: unknown): cause is { readonly code: ProblemCode } {
  const code =
    typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' && Object.hasOwn(PROBLEM_CODES, code);
}

/** Keys in one order and none undefined, so that equal records are equal as JSON. */
function withStatus(volume: Volume, status: VolumeStatus): Volume {
  const { phase, fsUuid, device, mountPoint, bootId, attachments, condition } = status;
  return {
    spec: volume.spec,
    status: {
      phase,
      ...(fsUuid ? { fsUuid } : {}),
      ...(device ? { device } : {}),
      ...(mountPoint ? { mountPoint } : {}),
      ...(bootId ? { bootId } : {}),
      attachments,
      ...(condition ? { condition } : {}),
    },
  };
}
