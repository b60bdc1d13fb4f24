/**
 * Goal: SIGKILL with live leases loses none of them, nor a key's being under one; in the next process they
 * end once, each in one revision, and stay ended.
 * Method: a process grants, puts and revokes until it is killed; this one opens its store with a clock of
 * its own, holds it against what was acknowledged, lets the time pass, and opens it once more.
 */
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openEngine, type ChangeSet, type Engine } from '../../src/engine/index.ts';
import { LEASE_CONFIRM_MS } from '../../src/engine/limits.ts';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Random } from './random.ts';
import type { LeaseAck } from './lease-holder.ts';

const ROUNDS = 4;
const ACKS_BEFORE_KILL_MAX = 600;
/** None ends while its process lives, however slow the machine. */
const TTL_SECONDS = 60;
const NEEDS = ['src/engine', 'src/base', 'test/crash/random.ts'];

type KeysOfLease = ReadonlyMap<number, readonly string[]>;

async function killedAfter(count: number, args: Record<string, string>): Promise<LeaseAck[]> {
  const lines: string[] = [];
  let rest = '';
  const program = compiledProgram('test/crash/lease-holder.ts', NEEDS);
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, value]);
  const child = await Child.start(process.execPath, [program, ...flags], {
    onStdout: (chunk) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
      if (lines.length >= count) child.signal('SIGKILL');
    },
  });
  const { signal } = await child.exited;
  if (signal !== 'SIGKILL') throw new Error(`it ended by itself:\n${child.tail()}`);
  return lines.map((line) => JSON.parse(line) as LeaseAck);
}

/** What each lease has, both ways round: the lease's own list is what the keys say. */
async function leasesOf(engine: Engine): Promise<KeysOfLease> {
  const found = new Map<number, string[]>();
  for (const { id } of await engine.leases.list()) found.set(id, []);
  for (const { key, lease } of (await engine.list('held')).kvs) {
    expect(found.has(lease!)).toBe(true);
    found.get(lease!)!.push(key);
  }
  for (const [id, keys] of found) expect((await engine.leases.timeToLive(id)).keys).toEqual(keys);
  return found;
}

function checkAcknowledged(found: KeysOfLease, acks: readonly LeaseAck[]): void {
  const ending = new Set(acks.filter(({ step }) => step === 'ending').map(({ lease }) => lease));
  for (const { lease, key } of acks) {
    if (ending.has(lease)) continue;
    expect(found.has(lease)).toBe(true);
    if (key !== undefined) expect(found.get(lease)).toContain(key);
  }
}

/** Lets all leases end. @returns what was written by it */
async function endAll(engine: Engine, clock: FakeClock): Promise<readonly ChangeSet[]> {
  const { revision } = engine;
  clock.advance(TTL_SECONDS * 1000);
  while (clock.sleeps[0] !== LEASE_CONFIRM_MS) await nextTurn();
  clock.advance(LEASE_CONFIRM_MS);
  while ((await engine.leases.list()).length > 0) await nextTurn();
  return engine.changes(revision, 10_000);
}

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  test('killed with live leases', async () => {
    const clock = new FakeClock();
    const store = { backend, path: path.join(tempDir('crash-leases'), 'engine'), clock };
    const random = new Random(7);
    for (let round = 0; round < ROUNDS; round += 1) {
      const acks = await killedAfter(50 + random.below(ACKS_BEFORE_KILL_MAX), {
        backend,
        path: store.path,
        seed: `${round + 1}`,
        ttl: `${TTL_SECONDS}`,
      });
      let engine = await openEngine(store);
      const found = await leasesOf(engine);
      checkAcknowledged(found, acks);
      const sets = await endAll(engine, clock);
      const ended = sets.map(({ changes }) =>
        changes.map(({ type, kv }) => `${type} ${kv.key}`).join(),
      );
      const expected = [...found.values()]
        .filter((keys) => keys.length > 0)
        .map((keys) => keys.map((key) => `delete ${key}`).join());
      expect(ended.toSorted()).toEqual(expected.toSorted());
      expect(expected.length).toBeGreaterThan(0);
      const { revision } = engine;
      await engine.close();

      engine = await openEngine(store);
      expect(await engine.leases.list()).toEqual([]);
      expect((await engine.list('')).kvs).toEqual([]);
      expect(engine.revision).toBe(revision);
      await engine.close();
    }
  });
});
