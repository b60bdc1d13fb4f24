/** The worker as a child process: its verbs as calls, the steps it came by, and its death. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { HoldfastError } from '../../src/base/errors.ts';
import { compiledProgram } from '../support/compiled.ts';
import type { Line, Verbs, WorkerSite } from './volume-worker.ts';

const NEEDS = ['src/volumes', 'src/engine', 'src/base', 'native'];
let program: string | undefined;

/** The worker died before it answered. */
export class Died extends Error {
  override readonly name = 'Died';
}

export class VolumeProcess {
  /** Every step it came by, in order. */
  readonly hits: string[] = [];
  readonly exited: Promise<NodeJS.Signals | number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  #calls = 0;
  #dead = false;
  #stderr = '';

  /** @param uid as whom it runs, without any capability; default: as we do */
  constructor(site: WorkerSite, uid?: number) {
    program ??= compiledProgram('test/crash/volume-worker.ts', NEEDS);
    // Killed with the test, even when that dies by SIGKILL (PR_SET_PDEATHSIG).
    const drop = uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    const command = [process.execPath, program, JSON.stringify(site)];
    const guard = [...drop, '--pdeathsig', 'KILL', '--', ...command];
    this.#child = spawn('setpriv', guard, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    // Writing to one that just died is no news: its death is.
    this.#child.stdin.on('error', () => undefined);
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#read(line));
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#dead = true;
        const why = new Died(`the worker ended with ${signal ?? code}: ${this.#stderr}`);
        for (const { reject } of this.#waiting.values()) reject(why);
        resolve(signal ?? code);
      });
    });
  }

  get ended(): boolean {
    return this.#dead;
  }

  /** @throws HoldfastError as the worker did; Died when it ended before it answered */
  async call<V extends keyof Verbs>(
    verb: V,
    ...args: Parameters<Verbs[V]>
  ): Promise<Awaited<ReturnType<Verbs[V]>>> {
    if (this.#dead) throw new Died(`the worker has ended: ${this.#stderr}`);
    this.#calls += 1;
    const id = this.#calls;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#child.stdin.write(`${JSON.stringify({ id, verb, args })}\n`);
    return (await answer) as Awaited<ReturnType<Verbs[V]>>;
  }

  /** From outside, wherever it is. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  async quit(): Promise<void> {
    await this.call('quit');
    await this.exited;
  }

  #read(text: string): void {
    const line = JSON.parse(text) as Line;
    if (line.type === 'hit') {
      this.hits.push(line.point);
      return;
    }
    const waiting = this.#waiting.get(line.id);
    this.#waiting.delete(line.id);
    if (!line.error) return waiting?.resolve(line.value);
    const { code, message, hint } = line.error;
    waiting?.reject(new HoldfastError(code, message, { hint }));
  }
}
