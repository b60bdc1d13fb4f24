/** Writer and checker as child processes. */
import { writeFileSync } from 'node:fs';
import { Child, type ChildExit } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import type { BackendName } from '../../src/engine/index.ts';
import { noFaults } from './faults.ts';
import { Account, type Ack, type Told } from './told.ts';
import type { Report } from './checker.ts';

const inCrash = (name: string): string => `test/crash/${name}.ts`;
const NEEDS = [
  'src/engine',
  'src/base',
  ...['faults', 'lease-work', 'random', 'told', 'values', 'verify', 'verify-leases'].map(inCrash),
  ...['verify-watch', 'workload'].map(inCrash),
];
const program = (name: string): string => compiledProgram(`test/crash/${name}.ts`, NEEDS);

export interface WriterOptions {
  readonly backend: BackendName;
  readonly path: string;
  readonly seed: number;
  /** No two writers of one store may share it. */
  readonly epoch: string;
  /** What was told of the store so far; what is found after it is told as acknowledged. */
  readonly account?: Account;
  readonly durability?: 'commit' | 'none';
  readonly compacts?: boolean;
  /** The control: acknowledges before it writes. */
  readonly early?: boolean;
}

export class WriterProcess {
  /** What it told so far. */
  readonly account = new Account();
  #rest = '';
  #opened = false;
  #child: Child | undefined;
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  /** Acknowledged so far, in the order it was told. */
  get acks(): readonly Ack[] {
    return this.account.acks;
  }

  /** Resolves when the store is open. @throws with the writer's output when it can't be opened */
  static async start(options: WriterOptions): Promise<WriterProcess> {
    const writer = await WriterProcess.spawn(options);
    await writer.opened();
    return writer;
  }

  /** Resolves when its store is open. @throws with its output when it ends before */
  opened(): Promise<void> {
    return this.#child!.waitUntil('the store is open', () => this.#opened);
  }

  /** Resolves when the process runs, before it has opened or made anything. */
  static async spawn(options: WriterOptions): Promise<WriterProcess> {
    const writer = new WriterProcess();
    const args = Object.entries({
      backend: options.backend,
      path: options.path,
      seed: `${options.seed}`,
      epoch: options.epoch,
      after: `${options.account?.revision ?? 0}`,
      seen: `${options.account?.lastSeen ?? 0}`,
      durability: options.durability ?? 'commit',
    }).flatMap(([name, value]) => [`--${name}`, value]);
    if (options.compacts) args.push('--compact');
    if (options.early) args.push('--early');
    writer.#child = await Child.start(process.execPath, [program('writer'), ...args], {
      onStdout: (chunk) => writer.#read(chunk),
    });
    return writer;
  }

  #read(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line === 'open') this.#opened = true;
      else if (line.startsWith('{')) this.account.add(JSON.parse(line) as Told);
    }
    if (this.acks.length >= (this.#waiting?.count ?? Infinity)) this.#waiting?.resolve();
  }

  /** Resolves as soon as `count` acknowledgements were read. @throws when the writer ends first */
  async acknowledged(count: number): Promise<void> {
    const child = this.#child!;
    const reached = new Promise<void>((resolve) => {
      this.#waiting = { count, resolve };
      if (this.acks.length >= count) resolve();
    });
    const ended = child.exited.then(({ code, signal }) => {
      if (this.acks.length >= count) return;
      throw new Error(`the writer ended (${signal ?? code}):\n${child.tail()}`);
    });
    await Promise.race([reached, ended]);
  }

  /** Stops it in its tracks; `resume` or `kill` has to follow. */
  pause(): void {
    this.#child!.signal('SIGSTOP');
  }

  resume(): void {
    this.#child!.signal('SIGCONT');
  }

  /** SIGKILL. What it printed before is in `acks` when this resolves. */
  async kill(): Promise<ChildExit> {
    return this.#child!.kill();
  }
}

export interface CheckOptions {
  readonly backend: BackendName;
  readonly path: string;
  readonly account: Account;
  /** Where the account may be written for the checker; not on the disk under test. */
  readonly listFile: string;
  readonly epoch: string;
}

/** A store that can't be opened, or kills who opens it, has lost everything. */
export async function checkStore(options: CheckOptions): Promise<Report> {
  const { backend, path, account, listFile, epoch } = options;
  writeFileSync(listFile, account.lines());
  const args = ['--backend', backend, '--path', path, '--account', listFile, '--epoch', epoch];
  const child = await Child.start(process.execPath, [program('checker'), ...args]);
  const { code, signal } = await child.exited;
  if (code === 0) return JSON.parse(child.output) as Report;
  const messages = [`the checker ended with ${signal ?? code}: ${child.tail()}`];
  return {
    revision: 0,
    compacted: 0,
    phantoms: 0,
    lost: account.acks.length,
    broken: 1,
    faults: noFaults(),
    messages,
    told: [],
  };
}
