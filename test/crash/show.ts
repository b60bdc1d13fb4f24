/**
 * npm run show:kv-check: `holdfast kv check` on a large store, on one that a killed process left, and on one
 * that is damaged at many places, one after the other.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes } from '../../src/base/bytes.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { fillStore, runCheck, type CheckRun } from './check-run.ts';
import { damageStore, makeKilledStore } from './damage-run.ts';
import type { FileBackend } from './store-files.ts';

const HELP = `Usage: npm run show:kv-check -- [options]

  --keys N      keys of the large store (default 1000000)
  --damages N   places that are damaged, a backend (default 200)
  --seed N      where (default: from the clock; printed)
  --help        this text

Exit code 1: a whole store was called damaged, or damage was silent. 2: wrong usage.`;

const BACKENDS = ['sqlite', 'lmdb'] as const;
const PROGRESS_EVERY = 50;

interface Arguments {
  readonly keys: number;
  readonly damages: number;
  readonly seed: number;
}

function readArguments(): Arguments | undefined {
  const { values } = parseArgs({
    options: {
      keys: { type: 'string', default: '1000000' },
      damages: { type: 'string', default: '200' },
      seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: 'keys' | 'damages' | 'seed'): number => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new Error(`--${name} ${values[name]} is not a whole number`);
  };
  return { keys: number('keys'), damages: number('damages'), seed: number('seed') };
}

function say(what: string, run: CheckRun): boolean {
  const { keys, logRecords, errors, warnings } = run.report;
  const took = `${run.seconds.toFixed(1)} s, ${formatBytes(run.peakBytes)} of memory`;
  const found = `${errors} errors, ${warnings} warnings`;
  console.log(`${what}: ${keys} keys, ${logRecords} log records: ${found} (${took})`);
  for (const line of run.progress) console.log(`    ${line}`);
  return run.code === 0 && errors === 0;
}

async function show(backend: FileBackend, folder: string, asked: Arguments): Promise<boolean> {
  const large = path.join(folder, 'large');
  await fillStore(backend, large, asked.keys);
  const largeIsWhole = say(`${backend}, large`, await runCheck(large));
  const store = path.join(folder, 'killed');
  const account = await makeKilledStore(backend, store, folder);
  const killedIsWhole = say(`${backend}, killed while it wrote`, await runCheck(store));
  const totals = await damageStore({
    backend,
    store,
    account,
    folder,
    places: asked.damages,
    seed: asked.seed,
    progress: ({ places, found, silent }) => {
      if (places % PROGRESS_EVERY !== 0) return;
      console.log(`    ${places} damaged, ${found} found, ${silent.length} silent`);
    },
  });
  const { places, found, harmless, silent } = totals;
  const outcome = `${found} found, ${harmless} harmless as its account proves, ${silent.length} silent`;
  console.log(`${backend}, damaged at ${places} places: ${outcome}`);
  for (const message of silent) console.error(`silent: ${message}`);
  return largeIsWhole && killedIsWhole && silent.length === 0;
}

async function main(): Promise<number> {
  let asked: Arguments | undefined;
  try {
    asked = readArguments();
  } catch (thrown) {
    console.error(`${thrown instanceof Error ? thrown.message : thrown}\n\n${HELP}`);
    return 2;
  }
  if (!asked) {
    console.log(HELP);
    return 0;
  }
  const folder = makeTempFolder('kv-check');
  try {
    let isRight = true;
    for (const backend of BACKENDS) {
      isRight = (await show(backend, path.join(folder, backend), asked)) && isRight;
    }
    console.log(`seed ${asked.seed}`);
    return isRight ? 0 : 1;
  } finally {
    removeTempFolder(folder);
  }
}

process.exitCode = await main();
