import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { devicePath, type BlockFacts } from './sysfs.ts';
import type { ProbeResult, SuperblockProbe } from './blkid.ts';

/** Two at a time: a full scan's worth of blkid leaves the rest of a small host alone. */
const PROBES_AT_ONCE = 2;
/** A scan waits this long for all of its probes; what is late or not started yet, the next scan takes up. */
const SCAN_BUDGET_MS = 3_000;
/** A probe that failed or never returned is tried again after so many scans: about an hour of them. */
const RETRY_AFTER_SCANS = 60;

/** One known answer, and the state of the device that it was true for. */
interface Known {
  state: string;
  result: ProbeResult;
  scansUntilRetry: number;
}

/**
 * What is written on the devices, read again only from those that were attached, resized, mounted,
 * unmounted or written to since: an idle scan starts no process.
 *
 * The key is (name, number, diskseq, size, use) and, for a device that nothing is using, the count
 * of sectors written, by which a mkfs shows. What is mounted, partitioned or held is written all the
 * time without its superblock changing hands.
 */
export class Superblocks {
  readonly #probe: SuperblockProbe | undefined;
  readonly #root: string;
  readonly #known = new Map<string, Known>();
  /** Devices with a probe that hasn't returned: a hung one isn't joined by a second. */
  readonly #running = new Set<string>();

  /** Without a probe (a recorded tree) nothing is ever known. Under `root` is the `dev` with the nodes. */
  constructor(probe: SuperblockProbe | undefined, root = '/') {
    this.#probe = probe;
    this.#root = root;
  }

  /** The last answer about a device, if there was one. */
  of(device: BlockFacts): ProbeResult | undefined {
    return this.#known.get(device.name)?.result;
  }

  /**
   * Probes the devices that changed and waits for the answers, at most SCAN_BUDGET_MS.
   * `diskseqNow` tells whether a name still means the same device after its probe.
   */
  async refresh(
    devices: readonly BlockFacts[],
    isMounted: (device: BlockFacts) => boolean,
    diskseqNow: (name: string) => number | undefined,
  ): Promise<void> {
    const probe = this.#probe;
    if (!probe) return;
    this.#forgetAbsent(devices);
    const split = new Set(devices.map(({ parent }) => parent));
    const queue = devices
      .map((device) => {
        const use = isMounted(device) ? 'mounted' : isHeld(device, split) ? 'held' : 'free';
        return { device, state: stateOf(device, use) };
      })
      .filter(({ device, state }) => this.#isDue(device, state));
    const deadlineMs = performance.now() + SCAN_BUDGET_MS;
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        if (performance.now() > deadlineMs) return;
        await this.#ask(probe, next.device, next.state, diskseqNow);
      }
    };
    const workers = Promise.all(Array.from({ length: PROBES_AT_ONCE }, worker));
    await withinBudget(workers, SCAN_BUDGET_MS);
  }

  async #ask(
    probe: SuperblockProbe,
    device: BlockFacts,
    state: string,
    diskseqNow: (name: string) => number | undefined,
  ): Promise<void> {
    const key = attachOf(device);
    this.#running.add(key);
    const result = await probe(devicePath(device.name));
    if (result.outcome === 'late') void result.ended.then(() => this.#running.delete(key));
    else this.#running.delete(key);
    // The name may have moved to another disk meanwhile: then the answer is about that one.
    if (diskseqNow(device.name) === device.diskseq) this.#remember(device, state, result);
  }

  #remember(device: BlockFacts, state: string, result: ProbeResult): void {
    const answered = result.outcome !== 'failed' && result.outcome !== 'late';
    const isFinal = answered && result.outcome !== 'unreadable';
    const before = this.#known.get(device.name);
    // No answer is no news: what was known of this very attach stays, or an identity would flap.
    const keep = !answered && before?.state.startsWith(attachOf(device));
    this.#known.set(device.name, {
      state,
      result: keep ? before!.result : result,
      scansUntilRetry: isFinal ? Infinity : RETRY_AFTER_SCANS,
    });
  }

  #isDue(device: BlockFacts, state: string): boolean {
    if (!isProbeable(device, this.#root) || this.#running.has(attachOf(device))) return false;
    const known = this.#known.get(device.name);
    if (known?.state !== state) return true;
    known.scansUntilRetry -= 1;
    return known.scansUntilRetry <= 0;
  }

  /** Also what has its name but is another attach: its answers must not be taken for the new one's. */
  #forgetAbsent(devices: readonly BlockFacts[]): void {
    const attaches = new Map(devices.map((device) => [device.name, attachOf(device)]));
    for (const [name, known] of this.#known) {
      const attach = attaches.get(name);
      if (attach === undefined || !known.state.startsWith(attach)) this.#known.delete(name);
    }
  }
}

function attachOf(device: BlockFacts): string {
  const { name, major, minor, diskseq, sizeBytes } = device;
  return `${name} ${major}:${minor} ${diskseq ?? '-'} ${sizeBytes} `;
}

/** Whether others write to it: a device stacked on it, or its partitions. */
function isHeld(device: BlockFacts, split: ReadonlySet<string | undefined>): boolean {
  return device.holders.length > 0 || split.has(device.name);
}

function stateOf(device: BlockFacts, use: 'mounted' | 'held' | 'free'): string {
  return `${attachOf(device)}${use} ${use === 'free' ? device.sectorsWritten : ''}`;
}

/** A drive for discs would spin up; a size of 0 has no superblock; without the right to read there is no answer. */
function isProbeable(device: BlockFacts, root: string): boolean {
  if (device.sizeBytes === 0 || device.kind === 'rom') return false;
  try {
    accessSync(path.join(root, devicePath(device.name)), constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

async function withinBudget(work: Promise<unknown>, budgetMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const budget = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, budgetMs);
  });
  try {
    await Promise.race([work, budget]);
  } finally {
    clearTimeout(timer);
  }
}
