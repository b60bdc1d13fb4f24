/**
 * The process that gets killed at a named step: does a few of each thing that the engine does, one phase
 * after the other, or only the one named by `--only`, between opening and closing (`--skip` leaves one out). A system call on the file
 * `marks`/PHASE, which isn't there, says to a trace that a phase begins. `--kill` names where it dies:
 * `PHASE/begin`, `PHASE/commit:before`, `:after` (durable, unanswered) or `PHASE/answer:after`.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { HoldfastError } from '../../src/base/errors.ts';
import { KiB, MiB } from '../../src/base/bytes.ts';
import { LocalEngine } from '../../src/engine/local-engine.ts';
import { openBackend, type FileBackend } from '../../src/engine/offline.ts';
import { initialWrites, recover } from '../../src/engine/recover.ts';
import { PHASES, type Phase } from './phases.ts';
import { digestOf, tell, type AckedOp } from './told.ts';
import { valueOf } from './values.ts';
import { groupKeys } from './workload.ts';
import type { Backend } from '../../src/engine/backend.ts';
import type { Engine, Op } from '../../src/engine/index.ts';

/** What SQLite's WAL takes before a commit folds it in. */
const WAL_BYTES = 16 * MiB;
/** Takes pages of its own. */
const LARGE_VALUE_BYTES = 30 * KiB;
const FOLD_AT_ONCE = 20;

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    marks: { type: 'string' },
    kill: { type: 'string', default: '' },
    only: { type: 'string' },
    skip: { type: 'string' },
    epoch: { type: 'string', default: 's' },
    seen: { type: 'string', default: '0' },
  },
});
let phase: Phase = 'make';

function enter(next: Phase): void {
  phase = next;
  existsSync(path.join(values.marks ?? '', next));
  dieAt('begin');
}

function dieAt(step: string): void {
  if (`${phase}/${step}` === values.kill) process.kill(process.pid, 'SIGKILL');
}

/** Dies before a commit, or when it is durable and nobody was told. */
function mortal(backend: Backend): Backend {
  const commit: Backend['commit'] = async (writes) => {
    dieAt('commit:before');
    await backend.commit(writes);
    dieAt('commit:after');
  };
  return new Proxy(backend, {
    get: (real, name) => {
      if (name === 'commit') return commit;
      const member: unknown = Reflect.get(real, name, real);
      return typeof member === 'function' ? (member.bind(real) as unknown) : member;
    },
  });
}

class Steps {
  readonly #engine: Engine;
  #serials = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async run(): Promise<void> {
    for (const name of PHASES.slice(1, -1)) {
      if (name === values.skip || name !== (values.only ?? name)) continue;
      enter(name);
      await this.#doing(name);
    }
  }

  /** What fails is said, and the next phase comes: only the tests of failing disks have that. */
  async #doing(name: Phase): Promise<void> {
    try {
      await this.#phase(name);
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError)) throw thrown;
      console.error(`${name}: ${thrown.code}: ${thrown.message}`);
    }
  }

  async #phase(name: Phase): Promise<void> {
    const engine = this.#engine;
    switch (name) {
      case 'put':
      case 'after':
        for (const key of ['small/1', 'small/2', 'small/1']) await this.#write([key]);
        return;
      case 'burst':
        await all(['small/1', 'small/3', 'small/4'].map((key) => this.#write([key])));
        return;
      case 'swap':
        return this.#swap('small/1');
      case 'txn':
        return this.#write(groupKeys(0));
      case 'delete':
        return this.#remove('small/2');
      case 'grant':
        tell({ lease: await engine.leases.grant(24 * 3600), state: 'granted' });
        return dieAt('answer:after');
      case 'leased':
        await this.#write(['held/1', 'held/2'], await this.#leased());
        return this.#write(['held/3'], await this.#leased());
      case 'revoke':
        return this.#revoke();
      case 'large':
        return this.#write(['large/0'], undefined, LARGE_VALUE_BYTES);
      case 'compact':
        await engine.compact(engine.revision - 3);
        return dieAt('answer:after');
      case 'fold':
        return this.#fold();
      default:
        return;
    }
  }

  async #write(keys: readonly string[], lease?: number, bytesMin = 0): Promise<void> {
    const serial = this.#serial(keys[0]!, bytesMin);
    const ops = keys.map((key): Op => ({ type: 'put', key, value: valueOf(key, serial), lease }));
    const revision = await this.#engine.txn([], ops);
    const acked = keys.map((key): AckedOp => (lease ? [key, serial, lease] : [key, serial]));
    tell({ revision, ops: acked });
    dieAt('answer:after');
  }

  async #swap(key: string): Promise<void> {
    const serial = this.#serial(key);
    const ifRevision = (await this.#engine.get(key))?.modRevision ?? 0;
    const revision = await this.#engine.put(key, valueOf(key, serial), { ifRevision });
    tell({ revision, ops: [[key, serial]] });
    dieAt('answer:after');
  }

  async #remove(key: string): Promise<void> {
    const revision = await this.#engine.delete(key);
    if (revision !== undefined) tell({ revision, ops: [[key, null]] });
    dieAt('answer:after');
  }

  /** The one lease, which an earlier process may have granted. */
  async #leased(): Promise<number> {
    const [lease] = await this.#engine.leases.list();
    if (!lease) throw new HoldfastError('NotFound', 'there is no lease');
    return lease.id;
  }

  async #revoke(): Promise<void> {
    const lease = await this.#leased();
    const { keys } = await this.#engine.leases.timeToLive(lease);
    tell({ lease, state: 'ending' });
    const revision = await this.#engine.leases.revoke(lease);
    if (revision !== undefined) tell({ revision, ops: keys.map((key) => [key, null]) });
    tell({ lease, state: 'ended' });
    dieAt('answer:after');
  }

  async #fold(): Promise<void> {
    for (let bytes = 0; bytes < WAL_BYTES; bytes += 2 * FOLD_AT_ONCE * LARGE_VALUE_BYTES) {
      const keys = Array.from({ length: FOLD_AT_ONCE }, (_, i) => `large/${i}`);
      await all(keys.map((key) => this.#write([key], undefined, LARGE_VALUE_BYTES)));
    }
  }

  /** Such that the value of `key` has at least so many bytes. */
  #serial(key: string, bytesMin = 0): string {
    for (;;) {
      this.#serials += 1;
      const serial = `${values.epoch}.${this.#serials}`;
      if (valueOf(key, serial).length >= bytesMin) return serial;
    }
  }
}

/** All are waited for, also when one fails. @throws what the first that failed threw */
async function all(writes: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(writes)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function watch(engine: Engine): Promise<void> {
  const { signal } = new AbortController();
  try {
    for await (const set of engine.watch('', { from: Number(values.seen) + 1, signal })) {
      tell({ seen: set.revision, crc: digestOf(set) });
    }
  } catch (thrown) {
    // It ends with the engine.
    if (!(thrown instanceof HoldfastError && thrown.code === 'Unavailable')) throw thrown;
  }
}

enter(values.only === 'open' || values.only === 'rewrite' ? values.only : 'make');
const folder = values.path ?? '';
const backend = await openBackend(values.backend as FileBackend, {
  path: folder,
  durability: 'commit',
  initial: initialWrites,
  verify: recover,
});
const engine = await LocalEngine.over(mortal(backend), folder);
const watching = watch(engine);
await new Steps(engine).run();
enter('close');
await engine.close();
await watching;
