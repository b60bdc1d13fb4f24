/**
 * The process that gets killed: the real manager over a real engine, told what to do by JSON lines on
 * stdin, answering each on stdout when it is done. `hit` lines name the steps it comes by; at an armed
 * one it kills itself. Each line is a write(2) of its own, so what was printed survives the SIGKILL.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { HoldfastError, toHoldfastError, type ErrorBody } from '../../src/base/errors.ts';
import { openEngine } from '../../src/engine/index.ts';
import {
  VolumeManager,
  type CreateRequest,
  type Instance,
  type ServiceConfig,
  type Volume,
} from '../../src/volumes/index.ts';

export interface WorkerSite {
  readonly store: string;
  readonly mountRoot: string;
  readonly bootId: string;
  readonly services: readonly ServiceConfig[];
  /** `operation/step:when` at which it kills itself; `fail`: at which the step fails. */
  readonly kill?: string | undefined;
  readonly fail?: string | undefined;
}

/** What can be asked, and what it answers. */
export interface Verbs {
  recover(): Promise<void>;
  arm(points: Pick<WorkerSite, 'kill' | 'fail'>): Promise<void>;
  list(): Promise<readonly Volume[]>;
  /** Keys under `journal/`. */
  journal(): Promise<number>;
  create(request: CreateRequest): Promise<Volume>;
  mount(ref: string): Promise<Volume>;
  unmount(ref: string): Promise<Volume>;
  attach(ref: string, instance: Instance): Promise<Volume>;
  detach(ref: string): Promise<Volume>;
  /** With force. */
  remove(ref: string): Promise<void>;
  quit(): Promise<void>;
}

export type Line =
  | { readonly type: 'hit'; readonly point: string }
  | {
      readonly type: 'answer';
      readonly id: number;
      readonly value?: unknown;
      readonly error?: ErrorBody;
    };

function print(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

const site = JSON.parse(process.argv[2] ?? '') as WorkerSite;
let armed: Pick<WorkerSite, 'kill' | 'fail'> = site;
const engine = await openEngine({ backend: 'sqlite', path: site.store });
const volumes = new VolumeManager({
  engine,
  services: site.services,
  mountRoot: site.mountRoot,
  bootId: site.bootId,
  onStep: (operation, step, when) => {
    const point = `${operation}/${step}:${when}`;
    print({ type: 'hit', point });
    if (point === armed.kill) process.kill(process.pid, 'SIGKILL');
    if (point === armed.fail) throw new HoldfastError('HostFailed', `told to fail at ${point}`);
  },
});

const verbs: Verbs = {
  recover: () => volumes.recover(),
  arm: async (points) => {
    armed = points;
  },
  list: () => volumes.list(),
  journal: async () => (await engine.list('journal')).kvs.length,
  create: (request) => volumes.create(request),
  mount: (ref) => volumes.mount(ref),
  unmount: (ref) => volumes.unmount(ref),
  attach: (ref, instance) => volumes.attach(ref, instance),
  detach: (ref) => volumes.detach(ref),
  remove: (ref) => volumes.remove(ref, { force: true }),
  quit: async () => {
    await volumes.close();
    await engine.close();
    input.close();
  },
};

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { id, verb, args } = JSON.parse(line) as { id: number; verb: keyof Verbs; args: never[] };
  const call = verbs[verb] as (...values: never[]) => Promise<unknown>;
  call(...args).then(
    (value) => print({ type: 'answer', id, value }),
    (thrown: unknown) => print({ type: 'answer', id, error: toHoldfastError(thrown).toJSON() }),
  );
});
