/**
 * npm run test:powercut: cuts the power under a writing engine, again and again, and counts.
 * The control, an engine that doesn't sync, has to lose writes, or the whole run proves nothing.
 */
import { parseArgs } from 'node:util';
import { cutEngine, type Totals } from './engine-cuts.ts';
import { Rig } from './rig.ts';

const HELP = `Usage: npm run test:powercut -- [options]

  --cuts N         cuts per backend (default 20); the control gets a tenth of it, at least 3
  --backend NAME   sqlite, lmdb or both (default both)
  --seed N         what is written and when it is cut (default: from the clock; printed)
  --help           this text

Needs root, loop devices, mkfs.xfs and mkfs.ext4. Everything is made in a temporary folder and
removed again. Exit code 1: an acknowledged write was lost, a store contradicted itself, or the
control lost nothing. 2: wrong usage. 130: interrupted.`;

const BACKENDS = ['sqlite', 'lmdb'] as const;
const CONTROL_CUTS_MIN = 3;
const PROGRESS_EVERY = 10;

interface Arguments {
  readonly cuts: number;
  readonly backends: ReadonlyArray<(typeof BACKENDS)[number]>;
  readonly seed: number;
}

interface Row extends Totals {
  readonly name: string;
  readonly isControl: boolean;
}

/** @returns undefined when only help was asked for. @throws Error on wrong usage */
function readArguments(args: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cuts: { type: 'string', default: '20' },
      backend: { type: 'string', default: 'both' },
      seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const backends = BACKENDS.filter((name) => values.backend === 'both' || values.backend === name);
  if (backends.length === 0) {
    throw new Error(`--backend ${values.backend} is not sqlite, lmdb or both`);
  }
  return {
    cuts: wholeNumber('cuts', values.cuts, 1),
    backends,
    seed: wholeNumber('seed', values.seed, 0),
  };
}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`--${name} ${text} is not a whole number from ${min}`);
}

async function runAll({ cuts, backends, seed }: Arguments, signal: AbortSignal): Promise<Row[]> {
  await using rig = await Rig.create();
  const rows: Row[] = [];
  for (const isControl of [false, true]) {
    for (const backend of backends) {
      const name = isControl ? `${backend} without sync` : backend;
      const wanted = isControl ? Math.max(CONTROL_CUTS_MIN, Math.ceil(cuts / 10)) : cuts;
      const totals = await cutEngine({
        rig,
        backend,
        seed,
        signal,
        cuts: wanted,
        durability: isControl ? 'none' : 'commit',
        progress: ({ cuts: done, acknowledged, lost }, messages) => {
          if (!isControl)
            for (const message of messages) console.log(`${name}: cut ${done}: ${message}`);
          if (done % PROGRESS_EVERY !== 0 && done !== wanted) return;
          console.log(
            `${name}: ${done} of ${wanted} cuts, ${acknowledged} acknowledged, ${lost} lost`,
          );
        },
      });
      rows.push({ name, isControl, ...totals });
    }
  }
  return rows;
}

function print(rows: readonly Row[], seed: number): void {
  const line = (...cells: readonly (string | number)[]): string =>
    cells.map((cell, i) => (i === 0 ? `${cell}`.padEnd(20) : `${cell}`.padStart(13))).join('');
  console.log(`\n${line('', 'cuts', 'acknowledged', 'lost', 'broken', 'unanswered', 'compacted')}`);
  for (const row of rows) {
    const broken = row.isControl ? '-' : row.broken;
    console.log(
      line(row.name, row.cuts, row.acknowledged, row.lost, broken, row.phantoms, row.compacted),
    );
  }
  console.log(`seed ${seed}`);
}

/** What is wrong with a finished run; empty when it proved what it should. */
function failures(rows: readonly Row[]): string[] {
  return rows.flatMap(({ name, isControl, lost, broken }) => {
    if (isControl) {
      return lost > 0
        ? []
        : [`${name} lost nothing: the cuts find too much, this run proves nothing`];
    }
    if (lost + broken === 0) return [];
    return [`${name}: ${lost} acknowledged writes lost, ${broken} contradictions`];
  });
}

async function main(): Promise<number> {
  let asked: Arguments | undefined;
  try {
    asked = readArguments(process.argv.slice(2));
  } catch (thrown) {
    console.error(`${thrown instanceof Error ? thrown.message : thrown}\n\n${HELP}`);
    return 2;
  }
  if (!asked) {
    console.log(HELP);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    console.error('the power-cut test needs root: it makes loop devices and mounts them');
    return 2;
  }
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort());
  try {
    const rows = await runAll(asked, abort.signal);
    if (abort.signal.aborted) return 130;
    print(rows, asked.seed);
    const wrong = failures(rows);
    for (const message of wrong) console.error(message);
    return wrong.length > 0 ? 1 : 0;
  } catch (thrown) {
    // Ctrl-C reaches the children too: what fails because of it is not news.
    if (abort.signal.aborted) return 130;
    throw thrown;
  }
}

process.exitCode = await main();
