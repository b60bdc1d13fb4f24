/**
 * Goal: a commit that fails, before or after its bytes reached the disk, is never acknowledged; what the
 * store then shows is what is on the disk, and a watch sees each revision once. A phantom yes, a hole no.
 * What was applied on top of it meanwhile is applied anew, on what is there then.
 * Method: a backend whose commits fail where fast-check says; after each step a new engine over the same
 * tables, as the next process would open it, must see the same.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { openMemory } from '../../src/engine/backends/memory.ts';
import { LocalEngine } from '../../src/engine/local-engine.ts';
import { initialWrites } from '../../src/engine/recover.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { WatchLog } from './watch-log.ts';
import type { Backend } from '../../src/engine/backend.ts';
import type { ChangeSet, Engine, Op } from '../../src/engine/index.ts';

const RUNS = 200;
const FAILURES = ['none', 'before the write', 'after the write'] as const;
type Failure = (typeof FAILURES)[number];

interface Step {
  readonly failure: Failure;
  /** Asked for at once: they share a commit. */
  readonly ops: readonly Op[];
  /** Asked for while that one is under way. */
  readonly meanwhile: readonly Op[];
}

const key = fc.constantFrom('a', 'b', 'c/1', 'c/2');
const put = fc.record({
  type: fc.constant('put' as const),
  key,
  value: fc.uint8Array({ maxLength: 8 }),
});
const remove = fc.record({ type: fc.constant('delete' as const), key });
const step: fc.Arbitrary<Step> = fc.record({
  failure: fc.constantFrom(...FAILURES),
  ops: fc.array(fc.oneof(put, put, remove), { minLength: 1, maxLength: 6 }),
  meanwhile: fc.array(fc.oneof(put, put, remove), { maxLength: 6 }),
});

class FailingBackend implements Backend {
  readonly name = 'failing';
  readonly costlyCommits = false;
  failure: Failure = 'none';
  readonly #tables: Backend;

  constructor(tables: Backend) {
    this.#tables = tables;
  }

  get: Backend['get'] = (table, at) => this.#tables.get(table, at);
  range: Backend['range'] = (query) => this.#tables.range(query);
  find: Backend['find'] = (key, take) => this.#tables.find(key, take);
  scan: Backend['scan'] = (query, visit) => this.#tables.scan(query, visit);
  read: Backend['read'] = (work) => this.#tables.read(work);
  sizeBytes = (): number => this.#tables.sizeBytes();
  close = (): Promise<void> => this.#tables.close();

  async commit(writes: Parameters<Backend['commit']>[0]): Promise<void> {
    const { failure } = this;
    this.failure = 'none';
    await turns(4);
    if (failure !== 'before the write') await this.#tables.commit(writes);
    if (failure !== 'none') throw new HoldfastError('HostFailed', `the sync failed ${failure}`);
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await nextTurn();
}

test('what was refused may be there or not, what was acknowledged is there', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const backend = new FailingBackend(openMemory(initialWrites()));
      // Time stands still: what is asked for at once is applied at once.
      const clock = new FakeClock();
      const engine = await LocalEngine.over(backend, 'memory', { clock });
      const watched = new WatchLog();
      watched.follow(engine);
      for (const { failure: wanted, ops, meanwhile } of steps) {
        // A delete of what isn't there takes no commit.
        const failure = ops.some(({ type }) => type === 'put') ? wanted : 'none';
        backend.failure = failure;
        const before = engine.revision;
        const results = Promise.allSettled(ops.map((op) => engine.txn([], [op])));
        await turns(1);
        const onTop = Promise.all(meanwhile.map((op) => engine.txn([], [op])));
        for (const [i, result] of (await results).entries()) {
          if (result.status === 'fulfilled') await expectInLog(engine, result.value, ops[i]!);
          else expect(result.reason).toMatchObject({ code: 'HostFailed' });
          expect(result.status).toBe(failure === 'none' ? 'fulfilled' : 'rejected');
        }
        for (const [i, revision] of (await onTop).entries()) {
          await expectInLog(engine, revision, meanwhile[i]!);
        }
        const stays = failure === 'before the write' && meanwhile.length === 0;
        if (stays) expect(engine.revision).toBe(before);
        const next = await LocalEngine.over(backend, 'memory');
        expect(next.revision).toBe(engine.revision);
        expect(await next.list('')).toEqual(await engine.list(''));
        expect(await next.changes(0, 10_000)).toEqual(await engine.changes(0, 10_000));
      }
      await watched.reached(engine.revision);
      expect(watched.sets).toEqual(await engine.changes(0, 10_000));
      expectEachOnTheLast(watched.sets);
      await engine.close();
    }),
    { numRuns: RUNS },
  );
});

/** None was applied on what a failed commit only seemed to have left. */
function expectEachOnTheLast(sets: readonly ChangeSet[]): void {
  const versions = new Map<string, number>();
  for (const { type, kv } of sets.flatMap(({ changes }) => changes)) {
    const version = type === 'put' ? (versions.get(kv.key) ?? 0) + 1 : 0;
    expect(kv.version).toBe(version);
    versions.set(kv.key, version);
  }
}

async function expectInLog(engine: Engine, revision: number, op: Op): Promise<void> {
  // A delete of what isn't there is answered with the revision of before.
  if (op.type === 'delete') return expect(revision).toBeLessThanOrEqual(engine.revision);
  const [set] = await engine.changes(revision - 1, 1);
  expect(set).toMatchObject({ revision, changes: [{ type: 'put', kv: { key: op.key } }] });
  expect(set!.changes[0]!.kv.value).toEqual(op.value);
}
