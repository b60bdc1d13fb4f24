/**
 * Volumes: what a user asked for (*spec*) beside what is on the disk (*status*).
 *
 *   manager.ts     the verbs                    planner.ts    operation -> named steps, pure
 *   decide.ts      what a verb comes to, pure   journal.ts    the plan's life in the engine, as prose
 *   operations.ts  one at a time per volume     runner.ts     steps forward, or back
 *   recovery.ts    after a crash                outcome.ts    the record afterwards, pure
 *   drivers/       dir, loop                    hostops.ts    every act that touches the host
 *
 * A verb looks at what is really there, decides, and writes spec and plan in one engine transaction:
 * that is the acknowledgement point. From there the operation is finished or rolled back, across any
 * crash, because each step is idempotent and runs through `hostops`.
 *
 * Invariants: nothing is formatted but the image that the same operation created; no mount is made on
 * top of another; nothing is unmounted lazily, or because the agent stops; a name is never a path or
 * key; one slow volume holds up nobody else; what can't be finished or undone says so and waits.
 *
 * Caveats: `dir` sizes are not enforced. A mount(2) that hangs in the kernel can't be called back: the
 * caller gets DeadlineExceeded, the volume stays busy until the kernel answers.
 */
export { VolumeManager, type VolumeManagerOptions } from './manager.ts';
export { BOOT_MOUNTS_AT_ONCE, type BootVerdict } from './boot.ts';
export { OPERATION_KINDS, stepsOf, undoStepsOf, type OperationKind, type Step } from './planner.ts';
export { type StepHook, type StuckOperation, type VolumeEvent } from './runner.ts';
export type {
  Attachment,
  CreateRequest,
  DriverName,
  FsType,
  Instance,
  ServiceConfig,
  Volume,
  Volumes,
  VolumePhase,
  VolumeSpec,
  VolumeStatus,
} from './volume.ts';
