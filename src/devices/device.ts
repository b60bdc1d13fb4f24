/** What we know of one block device. Facts only: nothing here acts on a disk. */

export type Confidence = 'high' | 'medium' | 'low' | 'none';

/** Who the device *is*, wherever it is plugged in. `path` (confidence none) is where it happens to be. */
export interface DeviceIdentity {
  readonly scheme:
    | 'nvme-wwid'
    | 'scsi-wwid'
    | 'serial'
    | 'dm-uuid'
    | 'md-uuid'
    | 'partuuid'
    | 'fs-uuid'
    | 'backing-file'
    | 'path';
  readonly value: string;
  readonly confidence: Confidence;
  /** `path` only: the identity that this device would have had, if another present one didn't claim it too. */
  readonly conflict?: string;
}

export type DeviceKind =
  | 'disk'
  | 'partition'
  | 'loop'
  | 'zram'
  | 'ram'
  | 'dm'
  | 'md'
  | 'rom'
  | 'nbd'
  | 'other';

export interface FileSystemFacts {
  readonly type: string;
  readonly label?: string;
  readonly uuid?: string;
}

export interface Device {
  /** Safe as key, path segment and topic; made from the identity. */
  readonly id: string;
  readonly identity: DeviceIdentity;
  /** Kernel name, e.g. `sda1`. May move at any boot. */
  readonly name: string;
  /** e.g. `/dev/sda1` */
  readonly path: string;
  readonly major: number;
  readonly minor: number;
  readonly kind: DeviceKind;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
  readonly rotational: boolean;
  readonly readOnly: boolean;
  readonly removable: boolean;
  readonly model?: string;
  readonly serial?: string;
  readonly wwid?: string;
  /** Unique per attach within a boot (sysfs `diskseq`). */
  readonly diskseq?: number;
  /** Loop only: the file behind it. */
  readonly backingFile?: string;
  /** Where readable; absent means unknown, never "blank". */
  readonly fileSystem?: FileSystemFacts;
  readonly mountPoints: readonly string[];
  /** Kernel name of the disk a partition is on. */
  readonly parent?: string;
  /** Kernel names: partitions of this disk. */
  readonly children: readonly string[];
  /** Kernel names of devices stacked on this one / under this one. */
  readonly holders: readonly string[];
  readonly slaves: readonly string[];
  /** False when it was seen before and is not there now: absence is not deletion. */
  readonly present: boolean;
}
