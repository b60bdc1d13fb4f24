/**
 * Every act that changes a disk or needs privilege, behind one narrow interface, so that it can move
 * into a small root helper later. Nothing else in this folder touches the file system, the loop driver
 * or the mount table.
 *
 * Errors: HoldfastError. PermissionDenied (not root), NoSpace, Conflict (EBUSY), DeadlineExceeded (a
 * child was killed at its deadline), HostFailed for the rest, with the tool's or the kernel's own words.
 */
import type { MountEntry } from '../devices/index.ts';
import type { FsType } from './volume.ts';

/** Who a file is, whatever its path says later. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

export interface FileFacts extends FileIdentity {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly sizeBytes: number;
  /** Allocated on the disk: below the size for a sparse file. */
  readonly allocatedBytes: number;
}

export interface ImageRequest {
  readonly path: string;
  readonly sizeBytes: number;
  /** Blocks allocated now instead of when written. */
  readonly preallocate: boolean;
}

export interface FormatRequest {
  readonly path: string;
  /** The file that `createImage` made: any other file at this path is refused. */
  readonly identity: FileIdentity;
  readonly sizeBytes: number;
  readonly fsType: FsType;
  readonly uuid: string;
  readonly label: string;
  readonly preallocate: boolean;
}

export interface MountRequest {
  readonly device: string;
  readonly target: string;
  readonly fsType: FsType;
  /** File-system options as in mount(8)'s `-o`; may be empty. */
  readonly data: string;
}

/** What a prober read; both undefined = it recognised nothing, which does not mean blank. */
export interface ProbedFileSystem {
  readonly type: string | undefined;
  readonly uuid: string | undefined;
}

export interface LoopFacts {
  /** e.g. `/dev/loop3` */
  readonly path: string;
  readonly major: number;
  readonly minor: number;
  /** As the kernel names it, links resolved. */
  readonly backingFile: string;
  /** The file was unlinked while attached. */
  readonly deleted: boolean;
  /** Who the file is, under any path. Undefined when the kernel doesn't tell: no right to ask, no device node, or its file system hangs. */
  readonly file: FileIdentity | undefined;
}

export interface Space {
  readonly totalBytes: number;
  /** What an unprivileged writer could still take. */
  readonly freeBytes: number;
}

export interface HostOps {
  /** May this process attach loop devices and mount (CAP_SYS_ADMIN)? */
  readonly privileged: boolean;

  /** Makes it with its parents, durable, unless it is there. */
  ensureDirectory(path: string, mode: number): Promise<void>;
  /** One directory, durable. Fine when a real directory is there; @throws Conflict when anything else is. */
  makeDirectory(path: string, mode: number): Promise<void>;
  /** rmdir(2), durable. Fine when it is gone. @throws Conflict when it is not empty or a mount point */
  removeDirectory(path: string): Promise<void>;
  /** Names in it; undefined when it is gone. */
  readDirectory(path: string): Promise<readonly string[] | undefined>;
  /** rename(2), durable. Fine when `from` is gone. */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a tree without following links or entering another file system. Fine when it is gone. */
  deleteTree(path: string, signal: AbortSignal): Promise<void>;
  /** unlink(2) of a file, durable. Fine when it is gone. */
  unlink(path: string): Promise<void>;
  /** lstat(2); undefined when it is gone. */
  inspect(path: string): Promise<FileFacts | undefined>;
  /** Links resolved; the path itself when it is not there. */
  realPath(path: string): Promise<string>;
  /** @throws NotFound when the path is not there */
  space(path: string): Promise<Space>;

  /** The id in a service folder's marker file (places.ts); undefined when folder or file is not there. */
  readMarker(folder: string): Promise<string | undefined>;
  /** Puts the marker file there, whole and durable. */
  writeMarker(folder: string, id: string): Promise<void>;

  /** A new file (O_EXCL) of exactly this size, mode 0600, durable. @throws Conflict when something is there, NoSpace */
  createImage(request: ImageRequest, signal: AbortSignal): Promise<FileIdentity>;
  /** mkfs on an image file, never on a device; durable when it resolves. */
  format(request: FormatRequest, signal: AbortSignal): Promise<void>;
  /** Low-level probe, past every cache. @throws HostFailed when it cannot be read or is ambivalent */
  probe(path: string, signal: AbortSignal): Promise<ProbedFileSystem>;

  /** A loop device with direct I/O over the image. @returns its path */
  attachLoop(image: string): Promise<string>;
  /** Fine when it serves another file or none by now: numbers are given out again. @throws Conflict while it is mounted or open */
  detachLoop(loop: LoopFacts): Promise<void>;
  loops(): Promise<readonly LoopFacts[]>;
  /** Size in bytes of a block device, as the kernel serves it. */
  deviceSize(device: string): Promise<number>;

  /** The mount table this process sees. */
  mounts(): Promise<readonly MountEntry[]>;
  /** The mounts of every mount namespace on the host, as far as they may be read. */
  mountsEverywhere(): Promise<readonly MountEntry[]>;
  mount(request: MountRequest): Promise<void>;
  /** Never lazy. @throws Conflict while in use */
  unmount(target: string): Promise<void>;
  /** How many processes have files open below a mount point; undefined when not cheaply known. */
  holders(mountPoint: string): Promise<number | undefined>;
}
