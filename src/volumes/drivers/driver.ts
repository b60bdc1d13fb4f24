/** The narrow waist between the manager and what holds a volume's data. `test/contract/volume-driver.ts` is its suite. */
import type { MountEntry } from '../../devices/index.ts';
import type { FileIdentity, HostOps, LoopFacts } from '../hostops.ts';
import type { OperationKind, Step } from '../planner.ts';
import type { DriverName, ServiceConfig, Volume, VolumeSpec } from '../volume.ts';

/** What a driver is made with. */
export interface DriverSite {
  readonly hostOps: HostOps;
  /** Mount points are `<mountRoot>/<id>/data`. */
  readonly mountRoot: string;
  readonly bootId: string;
}

/** The kernel's answer, read once for any number of volumes. */
export interface KernelView {
  readonly mounts: readonly MountEntry[];
  readonly loops: readonly LoopFacts[];
  /** Of every mount namespace; only where something could be destroyed. */
  readonly everywhere?: readonly MountEntry[];
}

/** What is really there of one volume. */
export interface Observation {
  /** The image or directory. */
  readonly path: string;
  readonly present: boolean;
  /** loop: the devices over the image; more than one only when somebody else attached it too. */
  readonly devices: readonly string[];
  /** Set when it is mounted at its own mount point. */
  readonly mountPoint?: string;
  /** Anything else the kernel has mounted from it, in any namespace that the view covers. */
  readonly otherMounts: readonly string[];
  /** What a person has to look at: absent or wrong data, a mount point taken by something else. */
  readonly problem?: { readonly code: ProblemCode; readonly message: string };
}

export type ProblemCode = 'DataMissing' | 'DataWrong' | 'MountPointTaken' | 'ServiceNotConfigured';

/** One operation under way; steps tell each other and `record` what they found. */
export interface StepContext {
  readonly kind: OperationKind;
  readonly volume: Volume;
  readonly service: ServiceConfig;
  /** An earlier run of this operation was interrupted: what it left may be taken over or thrown away. */
  readonly redo: boolean;
  readonly signal: AbortSignal;
  readonly found: StepFindings;
}

export interface StepFindings {
  image?: FileIdentity;
  /** null = none any more. */
  device?: string | null;
  mountPoint?: string | null;
}

export interface Driver {
  readonly name: DriverName;
  /** Operations that need CAP_SYS_ADMIN. */
  readonly privileged: ReadonlySet<OperationKind>;
  /** Makes the service's directory and compares the spec with its space; changes nothing else. @throws NoSpace */
  checkRoom(spec: VolumeSpec, service: ServiceConfig): Promise<void>;
  observe(volume: Volume, service: ServiceConfig, view: KernelView): Promise<Observation>;
  /** One idempotent step of the plan. @throws what HostOps throws; Corrupt when the data is not what the record says */
  run(step: Step, context: StepContext): Promise<void>;
}

export type StepTable = Partial<Record<Step, (context: StepContext) => Promise<void>>>;

/** Directories of ours: nobody else needs to look in. */
export const PRIVATE_MODE = 0o700;
