import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mountsUnder, TEMP_PREFIX } from './temp-folder.ts';

/** Something that a test left on the machine. */
export interface Resource {
  /** For people: what it is. */
  readonly what: string;
  /** The command that removes it. */
  readonly remove: string;
}

/**
 * What lies in a folder, or was started with it as TMPDIR, in an order to remove it in. Nothing else is
 * ever told from what other programs do at the same time.
 */
export function leftIn(folder: string): Resource[] {
  return [...processesOf(folder), ...mountsIn(folder), ...loopDevicesIn(folder)];
}

/** This process left out, and zombies: what is dead only waits for its parent to look. */
export function processesOf(folder: string): Resource[] {
  const pids = listed('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
    const traces = [command, read(`/proc/${pid}/environ`), workingFolder(pid)];
    if (!traces.some((trace) => trace.includes(folder)) || isZombie(pid)) return [];
    return [{ what: `process ${pid}: ${command.slice(0, 200)}`, remove: `kill ${pid}` }];
  });
}

/** proc(5), stat: the name in brackets may hold anything, the state comes after it. */
function isZombie(pid: string): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat === '' || stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
}

function mountsIn(folder: string): Resource[] {
  return mountsUnder(folder).map((at) => ({ what: `mount at ${at}`, remove: `umount '${at}'` }));
}

function loopDevicesIn(folder: string): Resource[] {
  const names = listed('/sys/block').filter((name) => name.startsWith('loop'));
  return names.flatMap((name) => {
    const file = read(`/sys/block/${name}/loop/backing_file`).trimEnd();
    if (!file.startsWith(`${folder}/`)) return [];
    return [{ what: `/dev/${name} on ${file}`, remove: `losetup --detach /dev/${name}` }];
  });
}

/** Those named as ours (ip-netns(8)). A name has no place for the folder: whose they are, it can't say. */
export function networkNamespaces(): Resource[] {
  const names = listed('/run/netns').filter((name) => name.startsWith(TEMP_PREFIX));
  return names.map((name) => ({
    what: `network namespace ${name}`,
    remove: `ip netns delete '${name}'`,
  }));
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Empty when it is gone meanwhile, not there in this kernel, or another user's. */
export function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function workingFolder(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
