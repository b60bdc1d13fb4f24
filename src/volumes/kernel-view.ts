/** What the kernel says of loop devices, mounts and their users: read, never acted on. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { hasErrno } from '../base/errors.ts';
import { parseMountinfo, type MountEntry } from '../devices/index.ts';
import { hostFailure } from './host-failure.ts';
import type { FileIdentity, LoopFacts } from './hostops.ts';

/** Counting holders walks every process's files; after this long the answer is "not cheaply known". */
const HOLDERS_BUDGET_MS = 250;
const DELETED = ' (deleted)';

/**
 * loop(4): /sys/block/loopN/loop/ exists only while a file is attached.
 * @throws HostFailed when a device can't be read: taken for free, its image would be deleted under it.
 */
export async function readLoops(fileOf: FileOf, sysBlock = '/sys/block'): Promise<LoopFacts[]> {
  const names = (await readdir(sysBlock)).filter((name) => /^loop\d+$/.test(name));
  const found: LoopFacts[] = [];
  // One by one: each question to a device takes one of the addon's threads.
  for (const name of names) {
    const loop = await readLoop(fileOf, sysBlock, name);
    if (loop) found.push(loop);
  }
  return found;
}

/** @returns the file that a device (its path) serves; undefined when it isn't told */
export type FileOf = (device: string) => Promise<FileIdentity | undefined>;

/** Not attached, or detached while we looked. */
const NOT_ATTACHED = ['ENOENT', 'ENODEV', 'ENXIO'];

async function readLoop(
  fileOf: FileOf,
  sysBlock: string,
  name: string,
): Promise<LoopFacts | undefined> {
  const readBacking = () => readFile(`${sysBlock}/${name}/loop/backing_file`, 'utf8');
  try {
    const line = await readBacking();
    const file = await fileOf(`/dev/${name}`);
    // Given to another file meanwhile: path and identity have to be of one.
    if ((await readBacking()) !== line) return await readLoop(fileOf, sysBlock, name);
    const dev = await readFile(`${sysBlock}/${name}/dev`, 'utf8');
    const backing = line.replace(/\n$/, '');
    const deleted = backing.endsWith(DELETED);
    const [major = 0, minor = 0] = dev.trim().split(':').map(Number);
    return {
      path: `/dev/${name}`,
      major,
      minor,
      backingFile: deleted ? backing.slice(0, -DELETED.length) : backing,
      deleted,
      file,
    };
  } catch (thrown) {
    if (NOT_ATTACHED.some((errno) => hasErrno(thrown, errno))) return undefined;
    throw hostFailure(thrown, `ask what ${name} serves`);
  }
}

export async function readMounts(): Promise<MountEntry[]> {
  return [...parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'))];
}

/** The process ended (the kernel has a word for each moment of it), or belongs to somebody else. */
const NOT_READABLE = ['ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM'];

/**
 * One mountinfo per mount namespace; namespaces of processes that we may not read are left out.
 * @throws HostFailed when one can't be read for another reason (too many open files): what isn't seen
 *   to be mounted would be deleted.
 */
export async function readMountsEverywhere(proc = '/proc'): Promise<MountEntry[]> {
  const seen = new Set<string>();
  const entries: MountEntry[] = [];
  for (const pid of await processIds(proc)) {
    try {
      const namespace = await readlink(`${proc}/${pid}/ns/mnt`);
      if (seen.has(namespace)) continue;
      entries.push(...parseMountinfo(await readFile(`${proc}/${pid}/mountinfo`, 'utf8')));
      seen.add(namespace);
    } catch (thrown) {
      if (NOT_READABLE.some((errno) => hasErrno(thrown, errno))) continue;
      throw hostFailure(thrown, `read the mounts of process ${pid}`);
    }
  }
  return entries;
}

export async function countHolders(mountPoint: string): Promise<number | undefined> {
  const until = performance.now() + HOLDERS_BUDGET_MS;
  let holders = 0;
  for (const pid of await processIds()) {
    if (performance.now() > until) return undefined;
    if (await holds(pid, mountPoint)) holders += 1;
  }
  return holders;
}

async function holds(pid: string, mountPoint: string): Promise<boolean> {
  const links = ['cwd', 'root', 'exe'].map((name) => `/proc/${pid}/${name}`);
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) links.push(`/proc/${pid}/fd/${fd}`);
  } catch {
    // Not ours to read; cwd and root may still tell.
  }
  for (const link of links) {
    const target = await readlink(link).catch(() => '');
    if (target === mountPoint || target.startsWith(`${mountPoint}/`)) return true;
  }
  return false;
}

async function processIds(proc = '/proc'): Promise<string[]> {
  const own = String(process.pid);
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name));
  // Our own namespace first: it is read even when others cannot be.
  return [own, ...pids.filter((pid) => pid !== own)];
}
