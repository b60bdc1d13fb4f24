import type { HostFacts } from '../host.ts';

/** Some 50 ms on a healthy host; dmidecode and lscpu on a sick one are not worth more of a wait. */
const INVENTORY_DEADLINE_MS = 5_000;

/** The two calls of `systeminformation` that tell something we don't read ourselves. */
export interface Inventory {
  cpu(): Promise<{ readonly manufacturer: string; readonly brand: string }>;
  system(): Promise<{ readonly manufacturer: string; readonly model: string }>;
}

/**
 * Adds to `base` what it lacks and `systeminformation` knows: the processor's name where /proc/cpuinfo
 * has none (Arm), maker and model where the firmware's files say nothing (a Raspberry Pi). What we read
 * ourselves is never overwritten.
 *
 * It forks (lscpu, dmidecode, cat, dmesg), in part synchronously, so it is asked once per start and
 * never for an identity. Never rejects: after the deadline, or when anything fails, `base` comes back.
 */
export async function readInventory(
  base: HostFacts,
  load: () => Promise<Inventory> = loadInventory,
): Promise<HostFacts> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<HostFacts>((resolve) => {
    timer = setTimeout(resolve, INVENTORY_DEADLINE_MS, base);
  });
  try {
    return await Promise.race([askInventory(base, load), deadline]);
  } catch {
    return base;
  } finally {
    clearTimeout(timer);
  }
}

async function loadInventory(): Promise<Inventory> {
  return (await import('systeminformation')).default;
}

async function askInventory(base: HostFacts, load: () => Promise<Inventory>): Promise<HostFacts> {
  const inventory = await load();
  const [cpu, system] = await Promise.all([inventory.cpu(), inventory.system()]);
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
