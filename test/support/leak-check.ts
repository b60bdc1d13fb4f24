import { mkdtempSync, readdirSync, realpathSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { leftIn, networkNamespaces, processesOf, read, type Resource } from './leaks.ts';
import { TEMP_PREFIX } from './temp-folder.ts';

/** A server that was told to stop in the last test may take this long to be gone. */
const PROCESS_END_WAIT_MS = 5_000;
const POLL_MS = 50;

/**
 * vitest's globalSetup. The run gets a temporary folder of its own, so that what it leaves can be told
 * from what others leave at the same time; when vitest exits, passed, failed or interrupted, whatever
 * the run left is listed with the command that removes it, and the exit code is 1.
 */
export function setup(): void {
  const runFolder = mkdtempSync(path.join(realpathSync(tmpdir()), `${TEMP_PREFIX}run-`));
  process.env['TMPDIR'] = runFolder;
  const namespacesBefore = new Set(networkNamespaces().map(({ what }) => what));
  // Not in a teardown: vitest calls that while its workers still end.
  process.on('exit', () => {
    endWorkers();
    waitForProcesses(runFolder);
    const left = [
      ...leftIn(runFolder),
      ...networkNamespaces().filter(({ what }) => !namespacesBefore.has(what)),
      ...filesIn(runFolder),
    ];
    if (left.length === 0) return;
    const lines = left.map(({ what, remove }) => `  ${what}\n      ${remove}`);
    process.stdout.write(`\nThe tests left behind:\n${lines.join('\n')}\n`);
    process.exitCode = 1;
  });
}

/** After an interrupt they still run, and their servers with them. */
function endWorkers(): void {
  for (const pid of read(`/proc/self/task/${process.pid}/children`).match(/\d+/g) ?? []) {
    const isWorker = read(`/proc/${pid}/cmdline`).includes('vitest/dist/workers/');
    if (isWorker) process.kill(Number(pid), 'SIGKILL');
  }
}

function waitForProcesses(runFolder: string): void {
  const deadlineMs = performance.now() + PROCESS_END_WAIT_MS;
  while (processesOf(runFolder).length > 0 && performance.now() < deadlineMs) {
    // An exit handler can't await.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
  }
}

/** Removes the run's folder when nothing is in it. */
function filesIn(runFolder: string): Resource[] {
  const names = readdirSync(runFolder);
  if (names.length > 0) {
    const remove = `node scripts/remove-folder.cjs '${runFolder}'`;
    return [{ what: `folder ${runFolder} with ${names.join(', ')}`, remove }];
  }
  rmdirSync(runFolder);
  return [];
}
