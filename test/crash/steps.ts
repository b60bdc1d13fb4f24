/**
 * SIGKILL at every step: before and after each commit of each phase (stepper.ts), and within it at each
 * system call by which the backend writes, syncs, renames or removes. A first run under strace says which
 * calls there are; a kill comes on entering one, so that it doesn't happen: as after the call before it.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import { PHASES, type Phase } from './phases.ts';
import { checkStore } from './processes.ts';
import { markUnsynced } from '../../src/engine/backends/unsynced.ts';
import { STORE_FILE, type FileBackend } from './store-files.ts';
import { trace, type Call, type Traced } from './strace.ts';
import { Account } from './told.ts';

const NEEDS = ['src/engine', 'src/base', 'test/crash/phases.ts', 'test/crash/values.ts'];
const MOMENTS = ['commit:before', 'commit:after', 'answer:after'] as const;
/** Of all files that a backend ever makes beside its store. */
const SUFFIXES = ['', '.new', '-wal.kept', '.unsynced', '.replacing'].concat(
  ['', '.new'].flatMap((at) => ['-wal', '-journal', '-shm', '-lock'].map((side) => `${at}${side}`)),
  ['', '-wal'].map((side) => `${side}.rewritten`),
);
/** Where nothing is: the names below it only mark phases in the trace. */
const MARKS = '/holdfast-phase';

export interface StepOptions {
  readonly backend: FileBackend;
  /** A temporary one. */
  readonly folder: string;
  readonly phases: readonly Phase[];
  /** Of the calls that are one step (a kind of call, on one file, in one phase), kill at so many. */
  readonly killsPerStep: number;
  /** Stops between two kills. */
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (totals: StepTotals, messages: readonly string[]) => void;
}

export interface StepTotals {
  /** Kills at each step, `PHASE/commit:before` or `PHASE/CALL FILE`; 0: it was never hit. */
  readonly hits: Map<string, number>;
  kills: number;
  acknowledged: number;
  lost: number;
  broken: number;
  readonly messages: string[];
}

export function noSteps(): StepTotals {
  return { hits: new Map(), kills: 0, acknowledged: 0, lost: 0, broken: 0, messages: [] };
}

export async function killAtEveryStep(options: StepOptions): Promise<StepTotals> {
  mkdirSync(options.folder, { recursive: true });
  const steps = new Steps(options);
  await steps.run();
  return steps.totals;
}

class Steps {
  readonly totals = noSteps();
  readonly #options: StepOptions;
  /** A store killed when the phase began, and what was told of it: each kill is of a copy. */
  readonly #prepared: string;
  readonly #store: string;
  #account = new Account();

  constructor(options: StepOptions) {
    this.#options = options;
    this.#prepared = path.join(options.folder, 'prepared');
    this.#store = path.join(options.folder, 'engine');
  }

  async run(): Promise<void> {
    for (const phase of this.#options.phases) {
      await this.#prepare(phase);
      const commits = !['make', 'open', 'rewrite', 'close'].includes(phase);
      for (const moment of commits ? MOMENTS : []) await this.#killAt(phase, moment);
      await this.#killInCalls(phase);
    }
  }

  async #killInCalls(phase: Phase): Promise<void> {
    const whole = await this.#trace(phase);
    if (whole.exit.code !== 0) throw new Error(`the stepper failed: ${whole.stderr}`);
    const steps = this.#stepsOf(whole, phase);
    for (const name of steps.keys()) this.totals.hits.set(name, 0);
    const firsts = firstOfThreads(whole.calls);
    for (const calls of steps.values()) {
      const meant = calls.filter((call) => firsts.has(call));
      for (const { name, when } of spread(meant, this.#options.killsPerStep)) {
        if (this.#options.signal?.aborted) return;
        const killed = await this.#trace(phase, `${name}:signal=SIGKILL:when=${when}`);
        const isKilled = killed.exit.signal === 'SIGKILL';
        const hit = [...this.#stepsOf(killed, phase)].find(([, of]) => of.some((c) => c.isLast));
        await this.#judge(isKilled ? hit?.[0] : undefined, killed.output);
      }
    }
  }

  async #killAt(phase: Phase, moment: string): Promise<void> {
    if (this.#options.signal?.aborted) return;
    const name = `${phase}/${moment}`;
    const { killed, output } = await this.#run(['--only', phase, '--kill', name]);
    this.totals.hits.set(name, 0);
    await this.#judge(killed ? name : undefined, output);
  }

  async #prepare(phase: Phase): Promise<void> {
    rmSync(this.#prepared, { recursive: true, force: true });
    this.#account = new Account();
    if (phase === 'make') return;
    // It writes 16 MiB, which each copy would have: only what comes after it needs that.
    const skip = phase === 'fold' || phase === 'after' ? [] : ['--skip', 'fold'];
    const { killed, output } = await this.#run(['--kill', `${phase}/begin`, ...skip]);
    if (!killed) throw new Error(`the stepper was not killed when ${phase} began`);
    this.#account = Account.parse(output);
    if (phase === 'rewrite')
      markUnsynced(path.join(this.#store, STORE_FILE[this.#options.backend]));
    renameSync(this.#store, this.#prepared);
  }

  async #run(args: readonly string[]): Promise<{ killed: boolean; output: string }> {
    this.#begin();
    let output = '';
    const child = await Child.start(process.execPath, [...this.#command, ...args], {
      onStdout: (chunk) => {
        output += chunk;
      },
    });
    const { signal } = await child.exited;
    return { killed: signal === 'SIGKILL', output };
  }

  #trace(phase: Phase, inject?: string): Promise<Traced> {
    const { backend, folder } = this.#options;
    this.#begin();
    const file = path.join(this.#store, STORE_FILE[backend]);
    const names = SUFFIXES.map((suffix) => `${file}${suffix}`);
    return trace([process.execPath, ...this.#command, '--only', phase], {
      files: [folder, this.#store, ...names, ...PHASES.map((one) => `${MARKS}/${one}`)],
      inject,
      log: path.join(folder, 'trace'),
    });
  }

  get #command(): string[] {
    const program = compiledProgram('test/crash/stepper.ts', NEEDS);
    const { backend } = this.#options;
    const account = ['--seen', `${this.#account.lastSeen}`, '--epoch', `e${this.totals.kills}`];
    return [program, '--backend', backend, '--path', this.#store, '--marks', MARKS, ...account];
  }

  #begin(): void {
    rmSync(this.#store, { recursive: true, force: true });
    if (existsSync(this.#prepared)) cpSync(this.#prepared, this.#store, { recursive: true });
  }

  /** The writing calls of the phase, by kind and file. */
  #stepsOf({ calls }: Traced, phase: Phase): Map<string, Call[]> {
    const { folder } = this.#options;
    const steps = new Map<string, Call[]>();
    let at = '';
    for (const call of calls) {
      if (call.file.startsWith(MARKS)) at = path.basename(call.file);
      else if (at === phase && call.file.startsWith(folder) && !call.name.startsWith('access')) {
        const name = `${phase}/${call.name} ${path.relative(folder, call.file) || '.'}`;
        steps.set(name, [...(steps.get(name) ?? []), call]);
      }
    }
    return steps;
  }

  async #judge(step: string | undefined, output: string): Promise<void> {
    const { totals } = this;
    if (step !== undefined) totals.hits.set(step, (totals.hits.get(step) ?? 0) + 1);
    // The last line may have been cut off by the kill.
    const account = Account.of(this.#account);
    account.addAll(Account.parse(output.slice(0, output.lastIndexOf('\n') + 1)));
    const report = await checkStore({
      backend: this.#options.backend,
      path: this.#store,
      account,
      listFile: path.join(this.#options.folder, 'account'),
      epoch: 'next',
    });
    totals.kills += 1;
    totals.acknowledged += account.acks.length;
    totals.lost += report.lost;
    totals.broken += report.broken;
    const messages = report.messages.map((message) => `${step}: ${message}`);
    totals.messages.push(...messages);
    this.#options.progress?.(totals, messages);
  }
}

/** strace counts for each thread: the kill at the nth call of a kind comes where the first thread makes its nth. */
function firstOfThreads(calls: readonly Call[]): Set<Call> {
  const firsts = new Map<string, Call>();
  for (const call of calls) {
    const nth = `${call.name} ${call.when}`;
    if (!firsts.has(nth)) firsts.set(nth, call);
  }
  return new Set(firsts.values());
}

/** So many of them: the first, the last, and what lies evenly between. */
export function spread<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  if (count === 1) return [all[Math.floor(all.length / 2)]!];
  return Array.from(
    { length: count },
    (_, i) => all[Math.round((i * (all.length - 1)) / (count - 1))]!,
  );
}
