/**
 * npm run test:crash: kills a writing engine, again and again and then at every step, and counts. The control,
 * a writer that acknowledges before it writes, has to lose writes, or the whole run proves nothing.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { killBackups } from './backup-steps.ts';
import { killEngine, type KillTotals } from './kills.ts';
import { PHASES } from './phases.ts';
import { printKills, printSteps, problemsOf, type KillRow, type StepRow } from './print.ts';
import { killAtEveryStep, type StepTotals } from './steps.ts';
import type { FileBackend } from './store-files.ts';

const HELP = `Usage: npm run test:crash -- [options]

  --seconds N      how long writers are killed, all backends together (default 60); the control
                   gets a tenth of it
  --backend NAME   sqlite, lmdb or both (default both)
  --seed N         what is written and when it is killed (default: from the clock; printed)
  --no-steps       without the kills at every step, which take about two minutes a backend
  --help           this text

Everything is made in a temporary folder and removed again. The steps need strace. Exit code 1: an
acknowledged write was lost, a store contradicted itself, a step was never hit, or the control lost
nothing. 2: wrong usage. 130: interrupted.`;

const BACKENDS = ['sqlite', 'lmdb'] as const;
/** Of the time of the kills. */
const CONTROL_SHARE = 0.1;
const CONTROL_CYCLES_MIN = 3;
const KILLS_PER_STEP = 3;
/** Between two lines that say how far it is. */
const PROGRESS_MS = 5000;

interface Arguments {
  readonly seconds: number;
  readonly backends: readonly FileBackend[];
  readonly seed: number;
  readonly steps: boolean;
}

/** @returns undefined when only help was asked for. @throws Error on wrong usage */
function readArguments(args: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '60' },
      backend: { type: 'string', default: 'both' },
      seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
      'no-steps': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const backends = BACKENDS.filter((name) => values.backend === 'both' || values.backend === name);
  if (backends.length === 0) {
    throw new Error(`--backend ${values.backend} is not sqlite, lmdb or both`);
  }
  return {
    seconds: wholeNumber('seconds', values.seconds, 1),
    backends,
    seed: wholeNumber('seed', values.seed, 0),
    steps: !values['no-steps'],
  };
}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`--${name} ${text} is not a whole number from ${min}`);
}

class Run {
  readonly kills: KillRow[] = [];
  readonly steps: StepRow[] = [];
  readonly #asked: Arguments;
  readonly #folder: string;
  readonly #signal: AbortSignal;
  #toldMs = performance.now();

  constructor(asked: Arguments, folder: string, signal: AbortSignal) {
    this.#asked = asked;
    this.#folder = folder;
    this.#signal = signal;
  }

  async all(): Promise<void> {
    const { backends, steps } = this.#asked;
    for (const isControl of [false, true]) {
      for (const backend of backends) await this.#kill(backend, isControl);
    }
    for (const backend of steps ? backends : []) await this.#step(backend);
  }

  async #kill(backend: FileBackend, isControl: boolean): Promise<void> {
    const { seconds, backends, seed } = this.#asked;
    const name = isControl ? `${backend}, told too early` : backend;
    const share = isControl ? CONTROL_SHARE : 1 - CONTROL_SHARE;
    const untilMs = performance.now() + (seconds * 1000 * share) / backends.length;
    const cyclesMin = isControl ? CONTROL_CYCLES_MIN : 1;
    const totals = await killEngine({
      backend,
      seed,
      folder: path.join(this.#folder, name),
      early: isControl,
      signal: this.#signal,
      goesOn: ({ cycles }) => cycles < cyclesMin || performance.now() < untilMs,
      progress: (soFar, messages) => {
        this.#say(name, isControl ? [] : messages, () => killsLine(soFar));
      },
    });
    this.kills.push({ name, isControl, ...totals });
  }

  async #step(backend: FileBackend): Promise<void> {
    const common = {
      backend,
      killsPerStep: KILLS_PER_STEP,
      signal: this.#signal,
      progress: (soFar: StepTotals, messages: readonly string[]) => {
        this.#say(`${backend}, at every step`, messages, () => stepsLine(soFar));
      },
    };
    const folder = path.join(this.#folder, `${backend} steps`);
    const ofEngine = await killAtEveryStep({ ...common, folder, phases: PHASES });
    const ofBackup = await killBackups({ ...common, folder: path.join(folder, 'backup') });
    this.steps.push({ name: backend, ...ofEngine }, { name: `${backend}, backup`, ...ofBackup });
  }

  #say(name: string, messages: readonly string[], line: () => string): void {
    for (const message of messages) console.log(`${name}: ${message}`);
    if (performance.now() - this.#toldMs < PROGRESS_MS) return;
    this.#toldMs = performance.now();
    console.log(`${name}: ${line()}`);
  }
}

function killsLine({ cycles, acknowledged, lost, broken }: KillTotals): string {
  return `${cycles} kills, ${acknowledged} acknowledged, ${lost} lost, ${broken} contradictions`;
}

function stepsLine({ kills, hits, lost, broken }: StepTotals): string {
  return `${kills} kills, ${hits.size} steps seen, ${lost} lost, ${broken} contradictions`;
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
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort());
  const folder = makeTempFolder('crash');
  try {
    const run = new Run(asked, folder, abort.signal);
    await run.all();
    if (abort.signal.aborted) return 130;
    printKills(run.kills);
    printSteps(run.steps);
    console.log(`seed ${asked.seed}`);
    const wrong = problemsOf(run.kills, run.steps);
    for (const message of wrong) console.error(message);
    return wrong.length > 0 ? 1 : 0;
  } catch (thrown) {
    // Ctrl-C reaches the children too: what fails because of it is not news.
    if (abort.signal.aborted) return 130;
    throw thrown;
  } finally {
    removeTempFolder(folder);
  }
}

process.exitCode = await main();
