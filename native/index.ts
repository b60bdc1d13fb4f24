/**
 * The typed door to the addon: what Holdfast needs from Linux and Node can't do.
 *
 * Calls that can block for ever on a sick disk (mount, umount, loop attach and detach, ioctls) run on
 * a thread of their own, one per call: never on the main thread, never on libuv's four pool threads.
 * They reject with an `Error` that carries `code` (errno name), `errno`, `syscall` and `path`, as
 * Node's own system errors do.
 */
import { createRequire } from 'node:module';

export interface MountOptions {
  readonly source: string;
  readonly target: string;
  /** e.g. `ext4`, `xfs`; absent for a bind mount. */
  readonly type?: string;
  readonly flags?: readonly MountFlag[];
  /** File-system specific options, comma-separated, as in mount(2)'s `data`. */
  readonly data?: string;
}

/** mount(2) flags, named without their `MS_`. */
export type MountFlag = 'rdonly' | 'nosuid' | 'nodev' | 'noexec' | 'noatime' | 'relatime' | 'bind' | 'remount';

export interface LoopOptions {
  readonly backingFile: string;
  readonly readOnly?: boolean;
  /** Default true: without it the page cache holds every block twice and hides unsynced data. */
  readonly directIo?: boolean;
  /** 512..4096; default the kernel's. */
  readonly blockSize?: number;
}

export interface LoopDevice {
  /** e.g. `/dev/loop3` */
  readonly path: string;
  /** What the kernel took: false when the backing file system can't do direct I/O. */
  readonly directIo: boolean;
}

interface Addon {
  mount(options: MountOptions): Promise<void>;
  umount(target: string, lazy: boolean): Promise<void>;
  loopAttach(options: LoopOptions): Promise<LoopDevice>;
  loopDetach(path: string): Promise<void>;
  blockDeviceSize(path: string): Promise<number>;
  sdNotify(socket: string, message: string): void;
  lockFile(path: string): number | undefined;
}

const addon = createRequire(import.meta.url)('#addon') as Addon;

/** mount(2). Never stacks by itself: look at mountinfo first. */
export const mount = addon.mount;

/** umount2(2) with UMOUNT_NOFOLLOW; `lazy` adds MNT_DETACH. EBUSY while in use. */
export function umount(target: string, options: { lazy?: boolean } = {}): Promise<void> {
  return addon.umount(target, options.lazy ?? false);
}

/** LOOP_CTL_GET_FREE + LOOP_CONFIGURE in one step (no half-configured device), autoclear off; retried while others race for the same free device. */
export const loopAttach = addon.loopAttach;

/** LOOP_CLR_FD. EBUSY-safe: rejects with EBUSY while the device is mounted or open, instead of the kernel's lazy "autoclear later". ENXIO when it wasn't attached. */
export const loopDetach = addon.loopDetach;

/** BLKGETSIZE64: size in bytes of a block device. */
export const blockDeviceSize = addon.blockDeviceSize;

/** One datagram to systemd's notify socket (sd_notify(3)); a leading `@` means the abstract namespace. Throws the errno. */
export const sdNotify = addon.sdNotify;

/**
 * flock(2) LOCK_EX|LOCK_NB on the file (made 0600 if missing), held until this process ends.
 * @returns the file descriptor, or undefined when another process holds it.
 */
export const lockFile = addon.lockFile;
