import { spawn, type ChildProcess } from 'node:child_process';
import { KiB } from '../../base/bytes.ts';

/**
 * What reading a device's superblocks led to. `nothing` is no proof that the device is blank: blkid says
 * the same of an ext4 whose magic number was wiped. `unreadable`: its first block can't be read.
 */
export type ProbeResult =
  | {
      readonly outcome: 'found';
      readonly fsType?: string;
      readonly fsUuid?: string;
      /** Of one member of a RAID or a btrfs: they share `fsUuid`. */
      readonly fsUuidSub?: string;
      readonly fsLabel?: string;
      /** `gpt`, `dos`… */
      readonly partitionTable?: string;
      readonly partitionTableUuid?: string;
      readonly partUuid?: string;
    }
  | { readonly outcome: 'nothing' | 'ambivalent' | 'failed' }
  | { readonly outcome: 'unreadable'; readonly partUuid?: string }
  /** No answer within the deadline; `ended` resolves when the process is really gone. */
  | { readonly outcome: 'late'; readonly ended: Promise<void> };

/** Reads the superblocks of one device, within a deadline of its own. Never rejects. */
export type SuperblockProbe = (devicePath: string) => Promise<ProbeResult>;

/** A healthy disk answers in 10 ms, one that spins up in 10 s: that one is asked again by the next scan. */
export const PROBE_DEADLINE_MS = 5_000;
const OUTPUT_BYTES_MAX = 64 * KiB;
/** A service's or user's PATH often lacks the system directories. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;

/**
 * `blkid -p -o export DEVICE` (blkid(8)): opens the device read-only (so udev sees no change), reads
 * a few blocks, prints `KEY=value` lines. It also finds "nothing" on a device that it can't read at all, and
 * on such a partition its entry in the table of the disk, so then the first block is read past the page
 * cache by dd(1).
 */
export const blkidProbe: SuperblockProbe = async (devicePath) => {
  const answer = await readWith('blkid', ['-p', '-o', 'export', devicePath]);
  if (answer === undefined) return { outcome: 'failed' };
  if ('ended' in answer) return { outcome: 'late', ended: answer.ended };
  const result = resultOf(answer);
  return isOnIt(result) ? result : whenReadable(devicePath, result);
};

/** Something that only who has read the device can know. */
function isOnIt(result: ProbeResult): boolean {
  if (result.outcome === 'nothing') return false;
  return result.outcome !== 'found' || (result.fsType ?? result.partitionTable) !== undefined;
}

async function whenReadable(devicePath: string, result: ProbeResult): Promise<ProbeResult> {
  const args = [`if=${devicePath}`, 'iflag=direct', 'bs=4096', 'count=1', 'status=none'];
  const answer = await readWith('dd', args);
  if (answer === undefined) return { outcome: 'failed' };
  if ('ended' in answer) return { outcome: 'late', ended: answer.ended };
  if (answer.exitCode === 0 && answer.output !== '') return result;
  return result.outcome === 'found'
    ? { outcome: 'unreadable', partUuid: result.partUuid }
    : { outcome: 'unreadable' };
}

interface Answer {
  readonly exitCode: number | null;
  readonly output: string;
}

/**
 * A child process, because a read from a sick disk can hang for ever, even unkillably: then it is left
 * behind and the caller isn't. Undefined when it can't be started.
 */
function readWith(
  command: string,
  args: readonly string[],
): Promise<Answer | { readonly ended: Promise<void> } | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH, LC_ALL: 'C' },
    });
    const timer = setTimeout(() => resolve({ ended: abandon(child) }), PROBE_DEADLINE_MS);
    let output = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      if (output.length < OUTPUT_BYTES_MAX) output += text;
    });
    child.once('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    child.once('close', (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, output });
    });
  });
}

/** SIGKILL, and no waiting: in uninterruptible sleep it ends when the disk lets it. */
function abandon(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  child.stdout?.destroy();
  child.unref();
  return ended;
}

/** Exit codes: 0 found, 2 nothing found or not readable, 8 several that contradict each other, 4 other errors. */
function resultOf({ exitCode, output }: Answer): ProbeResult {
  if (exitCode === 2) return { outcome: 'nothing' };
  if (exitCode === 8) return { outcome: 'ambivalent' };
  if (exitCode !== 0) return { outcome: 'failed' };
  const values = parseBlkidExport(output);
  return {
    outcome: 'found',
    fsType: values.get('TYPE'),
    fsUuid: values.get('UUID'),
    fsUuidSub: values.get('UUID_SUB'),
    fsLabel: values.get('LABEL'),
    partitionTable: values.get('PTTYPE'),
    partitionTableUuid: values.get('PTUUID')?.toLowerCase(),
    partUuid: values.get('PART_ENTRY_UUID')?.toLowerCase(),
  };
}

/** `KEY=value` lines, the value with a backslash before what a shell would take for its own. */
export function parseBlkidExport(output: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of output.split('\n')) {
    const match = /^([A-Z_0-9]+)=(.+)$/.exec(line);
    if (match?.[1] && match[2]) values.set(match[1], match[2].replace(/\\(.)/g, '$1'));
  }
  return values;
}
