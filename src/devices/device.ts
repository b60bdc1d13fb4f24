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
  /** `path` only: the identity that this device would have had, if it weren't one of several that have it. */
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

export type FactName =
  | 'name'
  | 'size'
  | 'read-only'
  | 'model'
  | 'serial'
  | 'wwid'
  | 'backing-file'
  | 'map-name'
  | 'dm-uuid'
  | 'md-uuid'
  | 'partition-uuid'
  | 'partition-table'
  | 'partition-table-uuid'
  | 'content'
  | 'label'
  | 'content-uuid'
  | 'content-sub-uuid';

/** One thing that one source says of a device. */
export interface Fact {
  readonly name: FactName;
  /** As text; a size in bytes. */
  readonly value: string;
  readonly source: 'sysfs' | 'superblock' | 'udev' | 'mountinfo';
  /** When it was first seen to be so (ISO 8601, wall clock). */
  readonly since: string;
}

/** What happened to a device. */
export interface HistoryEntry {
  readonly at: string;
  readonly event: 'appeared' | 'disappeared' | 'returned' | 'changed' | 'quarantined' | 'released';
  /** e.g. `name sda -> sdb, size 1 GiB -> 2 GiB` */
  readonly detail?: string;
}

/**
 * What reading the superblocks led to. `nothing`: no signature, which is no proof that it is blank.
 * `ambivalent`: several that contradict each other. `unreadable`: its first block can't be read.
 * `unread`: nobody could say yet (no right to read it, no node in /dev, no answer).
 */
export type Content = 'found' | 'nothing' | 'ambivalent' | 'unreadable' | 'unread';

/** What a device-mapper or md device is. */
export type Layer = 'lvm' | 'luks' | 'multipath' | 'partition' | 'raid' | 'other';

/** Another device claims this one's identity: neither is trusted. */
export interface Quarantine {
  /** Id that the identity would have. */
  readonly id: string;
  /** Kernel names of those that claim it, this one too if it is there; the first 16. */
  readonly names: readonly string[];
}

export interface FileSystemFacts {
  readonly type: string;
  readonly label?: string;
  readonly uuid?: string;
}

export interface Device {
  /** Safe as key, path segment and topic; made from the identity it had when it was first seen. */
  readonly id: string;
  readonly identity: DeviceIdentity;
  /** Version of the recipe that made the identity. */
  readonly recipe: number;
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
  /** Kernel name of the device that a loop's file lies on, or that a zram writes its cold pages to. */
  readonly backingDevice?: string;
  readonly layer?: Layer;
  /** Device-mapper's name of it (`vg0-data`), the level of a RAID (`raid1`). */
  readonly layerName?: string;
  /** A path to a multipath disk: kernel name of that disk. */
  readonly legOf?: string;
  readonly content: Content;
  /** `gpt`, `dos`…, also where no partition came of it. */
  readonly partitionTable?: string;
  /** Where readable; absent means unknown, never "blank". */
  readonly fileSystem?: FileSystemFacts;
  readonly mountPoints: readonly string[];
  /** The kernel swaps to it. */
  readonly swap: boolean;
  /** Kernel name of the disk a partition is on. */
  readonly parent?: string;
  /** Kernel names: partitions of this disk. */
  readonly children: readonly string[];
  /** Kernel names of devices stacked on this one / under this one. */
  readonly holders: readonly string[];
  readonly slaves: readonly string[];
  /** False when it was seen before and is not there now: absence is not deletion. */
  readonly present: boolean;
  readonly quarantine?: Quarantine;
  readonly facts: readonly Fact[];
  /** Oldest first; the last ones only. */
  readonly history: readonly HistoryEntry[];
}
