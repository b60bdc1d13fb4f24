/** The child of inspect.ts: does one job on a private copy, tells its result over the IPC channel, ends. */
import { createReadStream } from 'node:fs';
import { setPriority } from 'node:os';
import { toHoldfastError } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import { restoreBackup, writeBackup } from './backup.ts';
import { dumpLines } from './dump.ts';
import { checkOffline, openOffline, type CheckStage } from './offline.ts';
import type { InspectJob, InspectMessage, InspectResults } from './inspect.ts';

/** The agent and what it serves come first. */
const NICE = 10;
/** Between two messages of progress. */
const PROGRESS_MS = 200;

/** A reader that went away (`| head`) ends us quietly. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

async function run(
  job: InspectJob,
  scratch: string,
): Promise<InspectResults[keyof InspectResults]> {
  if (job.kind === 'check') {
    const onStage = (stage: CheckStage): void => tell({ type: 'stage', stage });
    return checkOffline(job.folder, scratch, { pid: job.pid, onProgress: progress(), onStage });
  }
  if (job.kind === 'restore') {
    const lines = linesOf(createReadStream(job.file, 'utf8') as AsyncIterable<string>);
    return restoreBackup(lines, job.folder);
  }
  const backend = await openOffline(job.folder, scratch, job.pid);
  try {
    if (job.kind === 'backup') return await writeBackup(backend, write);
    return await dumpLines(backend, job.prefix, job.skip, write);
  } finally {
    await backend.close();
  }
}

function progress(): (table: 'kv' | 'log' | 'meta', entries: number) => void {
  let last = performance.now();
  let sum = 0;
  return (table, entries) => {
    sum += entries;
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    tell({ type: 'progress', table, entries: sum });
    sum = 0;
  };
}

function tell(message: InspectMessage): void {
  process.send!(message);
}

/** Resolves when the text is out, so that a slow reader costs no memory. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

async function main(): Promise<InspectMessage> {
  try {
    setPriority(NICE);
    const [job, scratch] = process.argv.slice(2);
    return { type: 'result', result: await run(JSON.parse(job!) as InspectJob, scratch!) };
  } catch (thrown) {
    return { type: 'error', error: toHoldfastError(thrown).toJSON() };
  }
}

process.send!(await main(), undefined, {}, () => process.disconnect());
