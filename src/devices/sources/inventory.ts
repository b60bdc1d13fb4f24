import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { KiB } from '../../base/bytes.ts';
import type { HostFacts } from '../host.ts';

/** Some 200 ms on a healthy host; dmidecode and lscpu on a sick one are not worth more of a wait. */
const INVENTORY_DEADLINE_MS = 5_000;
const OUTPUT_BYTES_MAX = 64 * KiB;

/** What `systeminformation` tells that we don't read ourselves. */
export interface Inventory {
  readonly cpu: { readonly manufacturer: string; readonly brand: string };
  readonly system: { readonly manufacturer: string; readonly model: string };
}

/**
 * Adds to `base` what it lacks and `systeminformation` knows: the processor's name where /proc/cpuinfo
 * has none (Arm), maker and model where the firmware's files say nothing (a Raspberry Pi). What we read
 * ourselves is never overwritten. Asked once per start and never for an identity.
 *
 * Never rejects: after the deadline, or when anything fails, `base` comes back.
 */
export async function readInventory(
  base: HostFacts,
  load: () => Promise<Inventory> = () => askChild(CHILD),
): Promise<HostFacts> {
  try {
    return complete(base, await load());
  } catch {
    return base;
  }
}

const CHILD = fileURLToPath(new URL('./inventory-child.js', import.meta.url));

/** @param program the compiled `inventory-child.ts`. @throws when it fails or is late; it is killed then */
export async function askChild(program: string): Promise<Inventory> {
  const { stdout } = await promisify(execFile)(process.execPath, [program], {
    timeout: INVENTORY_DEADLINE_MS,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: 'C' },
  });
  return JSON.parse(stdout) as Inventory;
}

function complete(base: HostFacts, { cpu, system }: Inventory): HostFacts {
  const named = [cpu.manufacturer, cpu.brand].filter(isSaid).join(' ');
  const manufacturer = base.manufacturer ?? said(system.manufacturer);
  const model = base.model ?? said(system.model);
  return {
    ...base,
    // Its name for a processor that the kernel doesn't name; ours is the architecture then.
    cpu: base.cpu === base.arch && named !== '' ? named : base.cpu,
    ...(manufacturer !== undefined && { manufacturer }),
    ...(model !== undefined && { model }),
  };
}

function said(text: string): string | undefined {
  return isSaid(text) ? text.trim() : undefined;
}

/** It writes `-` and empty strings for what it doesn't know. */
function isSaid(text: string): boolean {
  return !['', '-', 'unknown'].includes(text.trim().toLowerCase());
}
