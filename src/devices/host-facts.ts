import {
  availableParallelism,
  hostname,
  machine,
  release,
  totalmem,
  type as osType,
} from 'node:os';
import { KiB } from '../base/bytes.ts';
import type { HostFacts } from './host.ts';
import { withoutUnknown } from './known.ts';
import { readFirmware } from './sources/dmi.ts';
import { parseCount, Tree } from './sources/tree.ts';
import { readVirtual } from './sources/virtual.ts';

/** What people like to read about a machine, from files in memory: no process started, some milliseconds. */
export function readHostFacts(root = '/'): HostFacts {
  const tree = new Tree(root);
  const firmware = readFirmware(tree);
  const processor = readProcessor(tree);
  const arch = machine();
  return withoutUnknown({
    hostname: tree.text('proc/sys/kernel/hostname') ?? hostname(),
    os: readOsName(tree) ?? osType(),
    kernel: tree.text('proc/sys/kernel/osrelease') ?? release(),
    arch,
    cpu: processor.get('model name') ?? processor.get('cpu model') ?? arch,
    cores: readCores(tree) ?? availableParallelism(),
    memoryBytes: readMemory(tree) ?? totalmem(),
    manufacturer: firmware.manufacturer,
    model: firmware.model,
    virtual: readVirtual(tree, firmware, processor.get('flags')?.split(' ')),
  });
}

/** The first processor of /proc/cpuinfo: `key : value` lines up to an empty one. Arm's has no name in it. */
function readProcessor(tree: Tree): Map<string, string> {
  const text = tree.head('proc/cpuinfo')?.toString('latin1') ?? '';
  return pairsOf(text.split('\n\n')[0]!, ':');
}

/** os-release(5): PRETTY_NAME in shell's quotes. */
function readOsName(tree: Tree): string | undefined {
  const bytes = tree.bytes('etc/os-release') ?? tree.bytes('usr/lib/os-release');
  const name = bytes && pairsOf(bytes.toString('utf8'), '=').get('PRETTY_NAME');
  return name?.replace(/^(["'])(.*)\1$/, '$2').replace(/\\(["'`$\\])/g, '$1') || undefined;
}

/** Processors that are online, as ranges: `0-3,8` (ABI/testing/sysfs-devices-system-cpu). */
function readCores(tree: Tree): number | undefined {
  let cores = 0;
  for (const range of tree.text('sys/devices/system/cpu/online')?.split(',') ?? []) {
    const ends = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (!ends) return undefined;
    const first = Number(ends[1]);
    cores += Number(ends[2] ?? first) - first + 1;
  }
  return cores > 0 ? cores : undefined;
}

/** `MemTotal`, in units of 1024 bytes that it calls kB (proc(5)). */
function readMemory(tree: Tree): number | undefined {
  const total = pairsOf(tree.head('proc/meminfo')?.toString('latin1') ?? '', ':').get('MemTotal');
  const kib = parseCount(total?.split(' ')[0]);
  return kib === undefined ? undefined : kib * KiB;
}

function pairsOf(text: string, separator: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf(separator);
    const value = line.slice(at + 1).trim();
    if (at > 0 && value !== '') pairs.set(line.slice(0, at).trim(), value);
  }
  return pairs;
}
