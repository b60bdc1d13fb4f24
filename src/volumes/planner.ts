/**
 * Operation + driver + facts -> the named steps that carry it out. Pure: no step runs here.
 *
 * Each step is idempotent: run again after a crash before, inside or after it, it converges. The crash
 * test takes its kill points from `stepsOf`, so a step added here is killed at without touching the test.
 */
import type { DriverName } from './volume.ts';

export const OPERATION_KINDS = [
  'create',
  'mount',
  'unmount',
  'attach',
  'detach',
  'remove',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export type Step =
  /** loop: the image, O_EXCL, with its final size. Redone from nothing when recovering. */
  | 'allocate-image'
  /** loop: mkfs on that very image, with the UUID in the record; then synced. Never twice on one image. */
  | 'format'
  /** loop: the image is there and has the size in the record. */
  | 'check-image'
  /** loop: a loop device over the image; the one it has already, if any. */
  | 'attach-loop'
  /** loop: file system and UUID on the device are those in the record. */
  | 'verify-fs'
  | 'make-mount-point'
  | 'mount'
  /** loop: umount2(2). dir: nothing but the record knows that it was mounted. */
  | 'unmount'
  | 'remove-mount-point'
  | 'detach-loop'
  | 'unlink-image'
  | 'make-directory'
  | 'check-directory'
  /** dir: an empty directory only; takes back make-directory. */
  | 'remove-directory'
  /** dir: renamed to a sibling `.trash-<id>`, so that a half-deleted volume never looks like a whole one. */
  | 'trash-directory'
  | 'delete-trash'
  /** The new status and the end of the journal entry, in one transaction. Always last. */
  | 'record';

/** What the plan depends on, observed just before planning. */
export interface PlanFacts {
  /** Attachments that are left when the operation is done. */
  readonly attachmentsAfter: number;
  /** It is mounted at its own mount point, and stays so. */
  readonly mounted: boolean;
  /** A loop device holds the image now. */
  readonly attached: boolean;
}

/** Neither attached nor mounted. */
export const AT_REST: PlanFacts = { attachmentsAfter: 0, mounted: false, attached: false };

export interface Plan {
  readonly steps: readonly Step[];
  /** Takes back what `steps` did, as far as they came; run when a step fails. Idempotent too. */
  readonly undo: readonly Step[];
  /** From this step on there is no way back: a failure leaves the operation in the journal. */
  readonly noReturn: Step | undefined;
}

export function plan(kind: OperationKind, driver: DriverName, facts: PlanFacts): Plan {
  const body = driver === 'loop' ? loopPlan(kind, facts) : dirPlan(kind);
  return { ...body, steps: [...body.steps, 'record'] };
}

function loopPlan(kind: OperationKind, facts: PlanFacts): Plan {
  // A loop device lives as long as it is mounted or attached to somebody, and not longer.
  const releases: Step[] = facts.mounted || facts.attachmentsAfter > 0 ? [] : ['detach-loop'];
  // A device that was there before is somebody's.
  const takesBackDevice: Step[] = facts.attached ? [] : ['detach-loop'];
  switch (kind) {
    case 'create':
      return { steps: ['allocate-image', 'format'], undo: ['unlink-image'], noReturn: undefined };
    case 'mount':
      return {
        steps: ['check-image', 'attach-loop', 'verify-fs', 'make-mount-point', 'mount'],
        // A redo may fail with the mount of the interrupted run still there: it goes first.
        undo: ['unmount', 'remove-mount-point', ...takesBackDevice],
        noReturn: undefined,
      };
    case 'unmount':
      // Once the kernel let the mount go, mounting again would be a new operation: only forward.
      return {
        steps: ['unmount', 'remove-mount-point', ...releases],
        undo: [],
        noReturn: 'remove-mount-point',
      };
    case 'attach':
      return {
        steps: ['check-image', 'attach-loop'],
        undo: takesBackDevice,
        noReturn: undefined,
      };
    case 'detach':
      return { steps: releases, undo: [], noReturn: undefined };
    case 'remove':
      return {
        steps: [
          // Also when nothing was attached: a refusal has to come before the way back ends.
          'detach-loop',
          'unlink-image',
          'remove-mount-point',
        ],
        undo: [],
        noReturn: 'unlink-image',
      };
  }
}

function dirPlan(kind: OperationKind): Plan {
  switch (kind) {
    case 'create':
      return { steps: ['make-directory'], undo: ['remove-directory'], noReturn: undefined };
    case 'mount':
    case 'attach':
      return { steps: ['check-directory'], undo: [], noReturn: undefined };
    case 'unmount':
      return { steps: ['unmount'], undo: [], noReturn: undefined };
    case 'detach':
      return { steps: [], undo: [], noReturn: undefined };
    case 'remove':
      return { steps: ['trash-directory', 'delete-trash'], undo: [], noReturn: 'trash-directory' };
  }
}

/** Every step an operation can have with this driver, whatever the facts: the kill points. */
export function stepsOf(kind: OperationKind, driver: DriverName): readonly Step[] {
  return plan(kind, driver, AT_REST).steps;
}

/** Every step that can take an operation back: kill points as well. */
export function undoStepsOf(kind: OperationKind, driver: DriverName): readonly Step[] {
  return plan(kind, driver, AT_REST).undo;
}
