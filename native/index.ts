/**
 * The typed door to the addon: what Holdfast needs from Linux and Node can't do.
 *
 * Calls that can block for ever on a sick disk (mount, umount, loop attach and detach, ioctls) run on
 * a thread of their own, one per call: never on the main thread, never on libuv's four pool threads.
 * They reject with an `Error` that carries `code` (errno name), `errno`, `syscall` and `path`, as
 * Node's own system errors do; wrong arguments reject with a TypeError and reach no syscall.
 *
 * Invariants: the event loop and the file system API keep working however many calls are stuck; a
 * stuck call holds none of this process' sockets, files or locks; at most 64 calls are in flight, the
 * next one rejects with EAGAIN.
 *
 * Caveats: a call can't be aborted, so give up on the promise, not on the call, and ask the kernel
 * (mountinfo, sysfs) what became of it. More in docs/native.md.
 */
import { addon } from './addon.ts';

export interface MountOptions {
  /** Device or directory; for a file system without a device any word, e.g. `tmpfs`. */
  readonly source: string;
  readonly target: string;
  /** e.g. `ext4`, `xfs`; absent for a bind mount or a remount. */
  readonly type?: string;
  readonly flags?: readonly MountFlag[];
  /** File-system specific options, comma-separated, as in mount(2)'s `data`. */
  readonly data?: string;
}

/** mount(2) flags, named without their `MS_`. `bind` with others is one atomic step. */
export type MountFlag =
  | 'rdonly'
  | 'nosuid'
  | 'nodev'
  | 'noexec'
  | 'noatime'
  | 'relatime'
  | 'bind'
  | 'remount';

export interface LoopOptions {
  /** A regular file; its size a multiple of 512 (of `blockSize` if that is larger) above 0. */
  readonly backingFile: string;
  readonly readOnly?: boolean;
  /** Default true: without it the page cache holds every block twice and hides unsynced data. */
  readonly directIo?: boolean;
  /** 512, 1024, 2048 or 4096 bytes; default the kernel's. */
  readonly blockSize?: number;
}

export interface LoopDevice {
  /** e.g. `/dev/loop3` */
  readonly path: string;
  /** What the kernel took: false when the backing file system can't do direct I/O. */
  readonly directIo: boolean;
}

/** The file that a loop device serves, as lstat(2) in Node tells it: `dev` and `ino`, whatever its path. */
export interface LoopFile {
  readonly dev: number;
  readonly ino: number;
}

/** mount(2). Never looks whether something is mounted there already: look at mountinfo first. */
export async function mount(options: MountOptions): Promise<void> {
  await addon().mount(options);
}

/** umount2(2) with UMOUNT_NOFOLLOW; `lazy` adds MNT_DETACH. EBUSY while in use, EINVAL when nothing is mounted there. */
export async function umount(target: string, options: { lazy?: boolean } = {}): Promise<void> {
  await addon().umount(target, options.lazy ?? false);
}

/**
 * LOOP_CTL_GET_FREE + LOOP_CONFIGURE in one step (no half-configured device), autoclear off; retried
 * while others race for the same free device. Doesn't look whether the file backs a device already.
 */
export async function loopAttach(options: LoopOptions): Promise<LoopDevice> {
  return await addon().loopAttach(options);
}

/**
 * Detached when it resolves. EBUSY, and still attached, while the device is mounted, claimed (swap,
 * holders) or open elsewhere for 250 ms: not the kernel's silent "later". ENXIO when it wasn't
 * attached, ENOTBLK when the path is no loop device. With `expected`, ESTALE when it serves another file
 * by now (in use or not): compared on the open device, which nobody can let go meanwhile.
 */
export async function loopDetach(path: string, expected?: LoopFile): Promise<void> {
  await addon().loopDetach(path, expected);
}

/**
 * LOOP_GET_STATUS64 (loop(4)), also of a mounted device; undefined when nothing is attached. The kernel
 * asks the file's own file system (cached where that is ext4, xfs, tmpfs or NFS): one that hangs can keep
 * it. Needs read access to the device node.
 */
export async function loopStatus(path: string): Promise<LoopFile | undefined> {
  return await addon().loopStatus(path);
}

/** BLKGETSIZE64: size in bytes of a block device. ENOTBLK for anything else. */
export async function blockDeviceSize(path: string): Promise<number> {
  return await addon().blockDeviceSize(path);
}

/**
 * One datagram to systemd's notify socket (sd_notify(3)); a leading `@` means the abstract namespace.
 * Never waits: throws the errno, EAGAIN when the manager's queue is full.
 */
export function sdNotify(socket: string, message: string): void {
  addon().sdNotify(socket, message);
}

/**
 * flock(2) LOCK_EX|LOCK_NB on the file (made 0600 if missing), held until this process ends.
 * @returns the file descriptor, or undefined when another process holds it.
 */
export function lockFile(path: string): number | undefined {
  return addon().lockFile(path);
}

/**
 * What the kernel said since the last call, oldest first: `action@path`, then `NAME=value`, each followed by a NUL.
 * `lost`: it said more than the queue could hold, so anything may have changed.
 */
export type UeventListener = (messages: readonly string[], lost: boolean) => void;

/**
 * Listens to the kernel's own uevents of one subsystem, e.g. `block` (netlink(7), NETLINK_KOBJECT_UEVENT). What a
 * process sent, however privileged, is dropped. Doesn't keep the process alive. A network namespace that isn't the
 * host's may hear nothing. Throws the errno, e.g. EAFNOSUPPORT where a sandbox forbids netlink.
 * @returns what stops it
 */
export function watchUevents(subsystem: string, listener: UeventListener): () => void {
  return addon().watchUevents(subsystem, listener);
}
