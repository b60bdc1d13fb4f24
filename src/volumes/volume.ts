/** A volume: what the user asked for (spec) beside what is on the disk (status). Stored as JSON at `volumes/<id>`. */

export type FsType = 'ext4' | 'xfs';
export type DriverName = 'dir' | 'loop';

export interface VolumeSpec {
  /** UUIDv7: the only form of the volume that is ever a key, path or topic. */
  readonly id: string;
  /** Unique on the host without regard to case; UTF-8, 1..128 bytes; for people only. */
  readonly name: string;
  readonly service: string;
  readonly driver: DriverName;
  /** loop: exact size of the image. dir: what was asked for, not enforced; 0 = none asked for. */
  readonly sizeBytes: number;
  /** loop only. */
  readonly fsType?: FsType;
  /** loop only: blocks allocated at creation, instead of a sparse image. */
  readonly preallocate?: boolean;
  readonly mountAtBoot: boolean;
  /** libStorage's free-form fields (and `opts` of its create request), strings only. */
  readonly fields: Readonly<Record<string, string>>;
  /** libStorage create parameters that we only carry. */
  readonly availabilityZone?: string;
  readonly iops?: number;
  readonly type?: string;
  /** ISO 8601, wall clock of this host. */
  readonly createdAt: string;
}

export interface Attachment {
  /** libStorage instance id, or this host's replica id. */
  readonly instanceId: string;
  /** libStorage driver and service of the instance id, as the client sent them. */
  readonly driver: string;
  readonly service: string;
  /** e.g. `/dev/loop3`; for dir the directory. */
  readonly deviceName: string;
  /** Boot in which it was made; another boot's device name means nothing. */
  readonly bootId: string;
  readonly attachedAt: string;
}

/** `creating` and `removing` have an operation in the journal; `failed` names why in `condition`. */
export type VolumePhase = 'creating' | 'ready' | 'removing' | 'failed';

export interface VolumeStatus {
  readonly phase: VolumePhase;
  /** loop: chosen before mkfs, compared before every mount. */
  readonly fsUuid?: string;
  /** Block device that holds it now, if attached (loop). */
  readonly device?: string;
  /** Where it is mounted now, as the kernel says; absent = not mounted. */
  readonly mountPoint?: string;
  /** Boot in which `device` and `mountPoint` were true. */
  readonly bootId?: string;
  readonly attachments: readonly Attachment[];
  /** Last thing that went wrong; absent when all is well. */
  readonly condition?: { readonly code: string; readonly message: string; readonly since: string };
}

export interface Volume {
  readonly spec: VolumeSpec;
  readonly status: VolumeStatus;
}

export interface CreateRequest {
  readonly name: string;
  /** Absent: the only service, or the first configured. */
  readonly service?: string | undefined;
  readonly sizeBytes?: number | undefined;
  readonly fsType?: string | undefined;
  readonly preallocate?: boolean | undefined;
  readonly mountAtBoot?: boolean | undefined;
  readonly fields?: Readonly<Record<string, string>> | undefined;
  readonly availabilityZone?: string | undefined;
  readonly iops?: number | undefined;
  readonly type?: string | undefined;
}

/** A configured driver: `volumes.services[]` of the configuration. */
export interface ServiceConfig {
  readonly name: string;
  readonly driver: DriverName;
  /** Directory that holds the images or directories. */
  readonly path: string;
  /** loop: default file system. */
  readonly fsType?: FsType | undefined;
  /** loop: default for `preallocate`. */
  readonly preallocate?: boolean | undefined;
  /** Driver name shown to libStorage clients instead of our own. */
  readonly presentAs?: string | undefined;
}

/** Whom an attachment is for. */
export interface Instance {
  readonly id: string;
  readonly driver: string;
  readonly service: string;
}

/** What the faces call. `ref` is a volume's id, or else its name (without regard to case). */
export interface Volumes {
  readonly services: readonly ServiceConfig[];
  list(): Promise<readonly Volume[]>;
  /** @throws NotFound */
  get(ref: string): Promise<Volume>;
  /** Acknowledged = in the journal; resolves when the volume is ready. @throws InvalidArgument, AlreadyExists, NotFound (service), NoSpace */
  create(request: CreateRequest): Promise<Volume>;
  /** Idempotent. @throws NotFound, Corrupt, HostFailed, DeadlineExceeded */
  mount(ref: string): Promise<Volume>;
  /** Idempotent. @throws NotFound, Conflict (busy) */
  unmount(ref: string): Promise<Volume>;
  /** Idempotent for the same instance. @throws Conflict when attached to another and not `force` */
  attach(
    ref: string,
    instance: Instance,
    options?: { force?: boolean | undefined },
  ): Promise<Volume>;
  /** Idempotent; without `instance`: all attachments. @throws Conflict while others have its device mounted and not `force` */
  detach(
    ref: string,
    instance?: Instance,
    options?: { force?: boolean | undefined },
  ): Promise<Volume>;
  /** @throws NotFound, Conflict while mounted; without `force` also when attached, or when its data is not there */
  remove(ref: string, options?: { force?: boolean | undefined }): Promise<void>;
}
