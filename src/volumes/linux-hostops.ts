import { constants, readFileSync } from 'node:fs';
import {
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rmdir,
  statfs,
  unlink,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemClock, type Clock } from '../base/clock.ts';
import { hasErrno, HoldfastError } from '../base/errors.ts';
import type { MountEntry } from '../devices/index.ts';
import { blockDeviceSize, loopAttach, loopDetach, mount, umount } from '../../native/index.ts';
import { runChild } from './child.ts';
import { hostFailure } from './host-failure.ts';
import { countHolders, readLoops, readMounts, readMountsEverywhere } from './kernel-view.ts';
import { LoopFiles } from './loop-files.ts';
import { formatImage } from './mkfs.ts';
import { MARKER } from './places.ts';
import type {
  FileFacts,
  FileIdentity,
  FormatRequest,
  HostOps,
  ImageRequest,
  LoopFacts,
  MountRequest,
  ProbedFileSystem,
  Space,
} from './hostops.ts';

/** fallocate of a whole disk takes seconds where extents exist, minutes where zeroes are written. */
const FALLOCATE_DEADLINE_MS = 10 * 60_000;
/** A probe reads a few hundred KiB; a disk that needs longer is sick. */
const PROBE_DEADLINE_MS = 20_000;
/** A tree of some ten million files. */
const DELETE_DEADLINE_MS = 30 * 60_000;
/** udev and other probers hold a device open for moments after a unmount: tries and wait between them. */
const DETACH_TRIES = 10;
const DETACH_WAIT_MS = 30;
const IMAGE_MODE = 0o600;
const CAP_SYS_ADMIN = 21n;

/** blkid -p (blkid(8)): 0 something found, 2 nothing found or unreadable, 8 ambivalent. */
const BLKID_FOUND = 0;
const BLKID_NOTHING = 2;

export class LinuxHostOps implements HostOps {
  readonly privileged: boolean;
  readonly #clock: Clock;
  readonly #loopFiles: LoopFiles;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.#loopFiles = new LoopFiles(clock);
    this.privileged = hasCapability(CAP_SYS_ADMIN);
  }

  async ensureDirectory(path: string, mode: number): Promise<void> {
    const first = await attempt(
      `make the directory ${path}`,
      mkdir(path, { recursive: true, mode }),
    );
    if (first === undefined) return;
    // Each new level is an entry in the one above.
    const top = resolve(first);
    for (let made = resolve(path); made.length >= top.length; made = dirname(made)) {
      await syncDirectory(dirname(made));
    }
  }

  async makeDirectory(path: string, mode: number): Promise<void> {
    try {
      await mkdir(path, { mode });
    } catch (thrown) {
      if (!hasErrno(thrown, 'EEXIST')) throw hostFailure(thrown, `make the directory ${path}`);
      const facts = await this.inspect(path);
      if (facts?.kind !== 'directory') {
        throw new HoldfastError(
          'Conflict',
          `${path} should be a directory, but a ${facts?.kind ?? 'vanished entry'} is there`,
          {
            hint: 'move it away; Holdfast follows no links and overwrites nothing',
          },
        );
      }
    }
    await syncDirectory(dirname(path));
  }

  async removeDirectory(path: string): Promise<void> {
    await unlessGone(`remove the directory ${path}`, rmdir(path));
    await syncDirectory(dirname(path));
  }

  async readDirectory(path: string): Promise<readonly string[] | undefined> {
    try {
      return await readdir(path);
    } catch (thrown) {
      if (hasErrno(thrown, 'ENOENT')) return undefined;
      throw hostFailure(thrown, `read the directory ${path}`);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await unlessGone(`rename ${from} to ${to}`, rename(from, to));
    await syncDirectory(dirname(to));
  }

  async deleteTree(path: string, signal: AbortSignal): Promise<void> {
    // rm(1) walks with openat and unlinkat, so a link swapped in while it works leads it nowhere.
    const args = ['-rf', '--one-file-system', '--preserve-root=all', '--', path];
    await runChild('rm', args, { deadlineMs: DELETE_DEADLINE_MS, signal });
    await syncDirectory(dirname(path));
  }

  async unlink(path: string): Promise<void> {
    await unlessGone(`unlink ${path}`, unlink(path));
    await syncDirectory(dirname(path));
  }

  async inspect(path: string): Promise<FileFacts | undefined> {
    try {
      const stats = await lstat(path);
      const kind = stats.isFile()
        ? 'file'
        : stats.isDirectory()
          ? 'directory'
          : stats.isSymbolicLink()
            ? 'symlink'
            : 'other';
      return {
        kind,
        dev: stats.dev,
        ino: stats.ino,
        sizeBytes: stats.size,
        allocatedBytes: stats.blocks * 512,
      };
    } catch (thrown) {
      if (hasErrno(thrown, 'ENOENT') || hasErrno(thrown, 'ENOTDIR')) return undefined;
      throw hostFailure(thrown, `look at ${path}`);
    }
  }

  async realPath(path: string): Promise<string> {
    try {
      return await realpath(path);
    } catch (thrown) {
      if (hasErrno(thrown, 'ENOENT')) return path;
      throw hostFailure(thrown, `resolve ${path}`);
    }
  }

  async space(path: string): Promise<Space> {
    const facts = await attempt(`ask for the space of ${path}`, statfs(path));
    return { totalBytes: facts.blocks * facts.bsize, freeBytes: facts.bavail * facts.bsize };
  }

  async readMarker(folder: string): Promise<string | undefined> {
    try {
      return (await readFile(join(folder, MARKER), 'utf8')).trim();
    } catch (thrown) {
      if (hasErrno(thrown, 'ENOENT') || hasErrno(thrown, 'ENOTDIR')) return undefined;
      throw hostFailure(thrown, `read ${join(folder, MARKER)}`);
    }
  }

  async writeMarker(folder: string, id: string): Promise<void> {
    const path = join(folder, MARKER);
    const temporary = `${path}.new`;
    const file = await attempt(`create ${temporary}`, open(temporary, 'w', IMAGE_MODE));
    try {
      await attempt(`write ${temporary}`, file.writeFile(`${id}\n`));
      await attempt(`sync ${temporary}`, file.sync());
    } finally {
      await file.close();
    }
    await this.rename(temporary, path);
  }

  async createImage(request: ImageRequest, signal: AbortSignal): Promise<FileIdentity> {
    const { path, sizeBytes } = request;
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
    const file = await attempt(`create the image ${path}`, open(path, flags, IMAGE_MODE));
    try {
      await attempt(`size the image ${path} to ${sizeBytes} bytes`, file.truncate(sizeBytes));
      if (request.preallocate) await this.#allocate(path, sizeBytes, signal);
      await attempt(`sync the image ${path}`, file.sync());
      const { dev, ino } = await file.stat();
      await syncDirectory(dirname(path));
      return { dev, ino };
    } finally {
      await file.close();
    }
  }

  async format(request: FormatRequest, signal: AbortSignal): Promise<void> {
    const facts = await this.inspect(request.path);
    if (
      facts?.kind !== 'file' ||
      facts.dev !== request.identity.dev ||
      facts.ino !== request.identity.ino
    ) {
      throw new HoldfastError(
        'Conflict',
        `${request.path} is not the image that was just made; it is left alone`,
      );
    }
    await formatImage(request, signal);
    // mkfs discards what it doesn't use, which gives preallocated blocks back.
    if (request.preallocate) await this.#allocate(request.path, request.sizeBytes, signal);
    const file = await attempt(
      `open ${request.path}`,
      open(request.path, constants.O_RDWR | constants.O_NOFOLLOW),
    );
    try {
      await attempt(`sync the image ${request.path}`, file.sync());
    } finally {
      await file.close();
    }
    await syncDirectory(dirname(request.path));
  }

  async #allocate(path: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
    await runChild('fallocate', ['-l', String(sizeBytes), path], {
      deadlineMs: FALLOCATE_DEADLINE_MS,
      signal,
    });
  }

  async probe(path: string, signal: AbortSignal): Promise<ProbedFileSystem> {
    const args = ['-p', '-o', 'export', '-s', 'TYPE', '-s', 'UUID', path];
    const accept = [BLKID_FOUND, BLKID_NOTHING];
    const { stdout } = await runChild('blkid', args, {
      deadlineMs: PROBE_DEADLINE_MS,
      signal,
      accept,
    });
    const valueOf = (key: string): string | undefined =>
      new RegExp(`^${key}=(.+)$`, 'm').exec(stdout)?.[1];
    return { type: valueOf('TYPE'), uuid: valueOf('UUID') };
  }

  async attachLoop(image: string): Promise<string> {
    const device = await attempt(
      `attach a loop device to ${image}`,
      loopAttach({ backingFile: image }),
    );
    return device.path;
  }

  async detachLoop({ path: device, file }: LoopFacts): Promise<void> {
    if (!file) {
      throw new HoldfastError(
        this.privileged ? 'Conflict' : 'PermissionDenied',
        `detach ${device}: the kernel doesn't tell which file it serves, so it could be another's by now`,
        { hint: `see what holds it: losetup -l ${device}` },
      );
    }
    for (let tries = 1; ; tries += 1) {
      try {
        return await loopDetach(device, file);
      } catch (thrown) {
        // Somebody else let it go meanwhile; ESTALE: its number is another's by now.
        if (hasErrno(thrown, 'ENXIO') || hasErrno(thrown, 'ESTALE')) return;
        if (!hasErrno(thrown, 'EBUSY') || tries >= DETACH_TRIES)
          throw hostFailure(thrown, `detach ${device}`);
        await this.#clock.sleep(DETACH_WAIT_MS);
      }
    }
  }

  loops(): Promise<readonly LoopFacts[]> {
    return readLoops((device) => this.#loopFiles.of(device));
  }

  deviceSize(device: string): Promise<number> {
    return attempt(`ask for the size of ${device}`, blockDeviceSize(device));
  }

  mounts(): Promise<readonly MountEntry[]> {
    return readMounts();
  }

  mountsEverywhere(): Promise<readonly MountEntry[]> {
    return readMountsEverywhere();
  }

  async mount({ device, target, fsType, data }: MountRequest): Promise<void> {
    await attempt(
      `mount ${device} (${fsType}) at ${target}`,
      mount({ source: device, target, type: fsType, ...(data === '' ? {} : { data }) }),
    );
  }

  async unmount(target: string): Promise<void> {
    await attempt(`unmount ${target}`, umount(target));
  }

  holders(mountPoint: string): Promise<number | undefined> {
    return countHolders(mountPoint);
  }
}

async function attempt<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw hostFailure(thrown, what);
  }
}

async function unlessGone(what: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (thrown) {
    if (!hasErrno(thrown, 'ENOENT')) throw hostFailure(thrown, what);
  }
}

/** A new or removed name is durable only when its directory is (fsync(2)). */
async function syncDirectory(path: string): Promise<void> {
  let directory;
  try {
    directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOENT')) return;
    throw hostFailure(thrown, `open the directory ${path}`);
  }
  try {
    await attempt(`sync the directory ${path}`, directory.sync());
  } finally {
    await directory.close();
  }
}

/** The effective capabilities of this process: capabilities(7), proc(5) `CapEff`. */
function hasCapability(bit: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & (1n << bit)) !== 0n;
}
