/**
 * Goal: when the replicator asks again, and how often; what it tells and when; that a page of the log
 * cut short is no end of the log. Method: the real engine in memory, a fake target, a clock by hand.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { MemoryRemote } from '../../test/support/memory-target.ts';
import { MiB } from '../base/bytes.ts';
import { HoldfastError, type ErrorCode } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { Replicator, type SyncStateChange } from './replicator.ts';
import type { ReplicaTarget } from './target.ts';

const place = { root: 'r', replicaId: newId() };
const subtree = `/r/hosts/${place.replicaId}/`;

let engine: Engine;
let clock: FakeClock;
let remote: MemoryRemote;
let changes: SyncStateChange[];
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  engine = await openEngine({ backend: 'memory', path: '' });
  clock = new FakeClock();
  remote = new MemoryRemote();
  changes = [];
});
afterEach(async () => {
  stop.abort();
  await running;
  await engine.close();
});

/** @param random what Math.random would say: 1 = every wait as long as it may be */
function start(
  random = 1,
  open: () => Promise<ReplicaTarget> = async () => remote.open(place),
): Replicator {
  stop = new AbortController();
  const replicator = new Replicator({
    engine,
    clock,
    random: () => random,
    target: {
      id: 'one',
      type: 'memory',
      endpoints: ['here'],
      open,
    },
    onState: (change) => changes.push(change),
  });
  running = replicator.run(stop.signal);
  return replicator;
}

/** Turns of the loop until it holds; a wait that never ends is the test's own time-out. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await nextTurn();
}

const fail =
  (code: ErrorCode, message: string = code) =>
  (): void => {
    throw new HoldfastError(code, message);
  };
const valueAt = (key: string): string | undefined => {
  const kept = remote.values.get(subtree + key);
  return kept && Buffer.from(kept.value).toString();
};
const claimed = (): number =>
  (JSON.parse(valueAt('.checkpoint')!) as { revision: number }).revision;
const keysThere = (): string[] =>
  [...remote.values.keys()].filter((key) => key.startsWith(`${subtree}kv/`));
const put = (key: string, value = new Uint8Array()) => ({ type: 'put', key, value }) as const;
const states = (): string[] => changes.map(({ to }) => to);

describe('a target that does not answer', () => {
  it('is asked again after 1, 2, 4 … 60 s at most, from 1 s again once it answered', async () => {
    for (let n = 0; n < 8; n++) remote.faults.push(fail('NotReachable'));
    const replicator = start();
    for (const waitMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
      await until(() => clock.sleeps.includes(waitMs));
      expect(replicator.status().state).toBe('offline');
      clock.advance(waitMs);
    }
    await until(() => replicator.status().state === 'current');
    expect(states()).toEqual(['connecting', 'offline', 'comparing', 'current']);

    remote.faults.push(fail('NotReachable'));
    await engine.put('kv/a', Buffer.from('1'));
    await until(() => replicator.status().state === 'offline');
    await until(() => clock.sleeps.includes(1000));
    clock.advance(1000);
    await until(() => valueAt('kv/a') === '1');
  });

  it('full jitter: a fleet does not come back in step', async () => {
    remote.faults.push(fail('NotReachable'));
    start(0.25);
    await until(() => clock.sleeps.includes(250));
    expect(changes.at(-1)?.to).toBe('offline');
  });
});

describe('a target that says no', () => {
  it('is asked once a minute, and told of anew only when it says something else', async () => {
    const refusals: [ErrorCode, string][] = [
      ['PermissionDenied', 'one'],
      ['PermissionDenied', 'two'],
      ['NoSpace', 'three'],
    ];
    for (const [code, message] of refusals) remote.faults.push(fail(code, message));
    const replicator = start();
    for (const [code, message] of refusals) {
      await until(() => replicator.status().lastError?.message === message);
      await until(() => clock.sleeps.includes(60_000));
      expect(replicator.status()).toMatchObject({ state: 'refused', lastError: { code } });
      clock.advance(60_000);
    }
    await until(() => replicator.status().state === 'current');
    expect(changes.map(({ from, to, error }) => [from, to, error?.code])).toEqual([
      ['stopped', 'connecting', undefined],
      ['connecting', 'refused', 'PermissionDenied'],
      ['refused', 'refused', 'NoSpace'],
      ['refused', 'comparing', undefined],
      ['comparing', 'current', undefined],
    ]);
  });

  it('one conflict may be our own late batch: read again at once, nobody is told', async () => {
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    remote.faults.push(fail('Conflict'));
    await engine.put('kv/a', Buffer.from('1'));
    await until(() => valueAt('kv/a') === '1');
    await until(() => replicator.status().lagRevisions === 0);
    expect(states()).toEqual(['connecting', 'comparing', 'current']);
  });

  it('conflicts without end are another writer: our session is given up for good', async () => {
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    const session = await sessionOf(engine);
    // Each try reads the checkpoint (fine) and then meets the conflict.
    for (let n = 0; n < 3; n++) {
      remote.faults.push(fail('Conflict'), () => undefined);
    }
    await engine.put('kv/a', Buffer.from('1'));
    await until(() => replicator.status().state === 'refused');
    // The third conflict, and then our own checkpoint looked at with other eyes.
    for (let minute = 0; minute < 2; minute++) {
      await until(() => clock.sleeps.includes(60_000));
      clock.advance(60_000);
      await until(() => !clock.sleeps.includes(60_000));
    }
    await until(() => replicator.status().lastError?.message.includes('never began') === true);
    expect(await sessionOf(engine)).not.toBe(session);
    expect(valueAt('kv/a')).toBeUndefined();
  });
});

describe('a target that refuses everything', () => {
  it('is refused once the list of parked keys is full, and keeps the session', async () => {
    let replicator = start();
    await until(() => replicator.status().state === 'current');
    const session = await sessionOf(engine);
    stop.abort();
    await running;
    for (let n = 1; n <= 1000; n++) {
      await engine.put(`sync/parked/one/${n}`, Buffer.from(JSON.stringify({ key: `kv/${n}` })));
    }
    replicator = start();
    await until(() => replicator.status().state === 'current');
    remote.faults.push(fail('TooLarge'));
    await engine.put('kv/more', Buffer.from('1'));
    await until(() => replicator.status().state === 'refused');
    for (let minute = 0; minute < 5; minute++) {
      await until(() => remote.faults.length === 0 && clock.sleeps.includes(60_000));
      expect(replicator.status()).toMatchObject({ state: 'refused', parked: 1000 });
      expect(replicator.status().lastError).toMatchObject({ code: 'TooLarge' });
      // The checkpoint can be read; the batch cannot be written.
      remote.faults.push(() => undefined, fail('TooLarge'));
      clock.advance(60_000);
    }
    expect(await sessionOf(engine)).toBe(session);
  });
});

describe('the log', () => {
  it('is read to its end though a page of large values was cut short', async () => {
    let replicator = start();
    await until(() => replicator.status().state === 'current');
    stop.abort();
    await running;
    // Pages of the log end at 16 MiB: three of them, none of which matters to a target.
    for (let n = 0; n < 12; n++) {
      const value = new Uint8Array(MiB);
      const ops = ['a', 'b', 'c', 'd'].map((name) => put(`journal/${name}`, value));
      await engine.txn([], ops);
    }
    await engine.put('kv/last', Buffer.from('1'));
    replicator = start();
    await until(() => valueAt('kv/last') === '1');
    expect(replicator.status().parked).toBe(0);
  });

  it('has a revision larger than a batch: claimed only with its last batch', async () => {
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    remote.faults.push(
      () => undefined,
      () => undefined,
      fail('NotReachable'),
    );
    // Three batches of the fake's ten entries.
    const ops = Array.from({ length: 25 }, (_, n) => put(`kv/${n}`));
    const revision = await engine.txn([], ops);
    await until(() => replicator.status().state === 'offline');
    expect(keysThere()).toHaveLength(20);
    expect(claimed()).toBeLessThan(revision);
    await until(() => clock.sleeps.includes(1000));
    clock.advance(1000);
    await until(() => replicator.status().state === 'current');
    expect(keysThere()).toHaveLength(25);
    expect(claimed()).toBe(revision);
  });

  it('of a store that was put back is followed from where the store is, not the cursor', async () => {
    const ahead = {
      incarnation: engine.incarnation,
      revision: 1000,
      session: 's',
      sessions: ['s'],
    };
    await engine.put('sync/cursor/one', Buffer.from(JSON.stringify(ahead)));
    remote.put(`${subtree}.checkpoint`, Buffer.from(JSON.stringify(ahead)));
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    expect(changes.map(({ reason }) => reason)).toContain('the local store went back');
    await engine.put('kv/a', Buffer.from('1'));
    // Without a minute that passes: the watch has to ring for it.
    await until(() => valueAt('kv/a') === '1');
    expect(replicator.status().lagRevisions).toBe(0);
  });

  it('that moved far without a change for the target moves its checkpoint in one write', async () => {
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    const before = remote.revision;
    for (let n = 0; n < 1100; n++) await engine.put('events/1', Buffer.from(`${n}`));
    for (let minute = 0; minute < 3; minute++) {
      await until(() => clock.sleeps.length > 0);
      clock.advance(60_000);
      for (let turn = 0; turn < 50; turn++) await nextTurn();
    }
    expect(remote.revision - before).toBe(1);
    expect(claimed()).toBeGreaterThanOrEqual(1100);
  });
});

describe('a target that is away', () => {
  const HOUR_MS = 3_600_000;
  let isAway = false;
  const open = async (): Promise<ReplicaTarget> => {
    if (isAway) fail('NotReachable')();
    return remote.open(place);
  };
  const compacted = async (): Promise<number> => (await engine.stats()).compactedRevision;

  /** Current, then away; what it has comes from before. */
  async function leave(): Promise<Replicator> {
    await engine.close();
    const holders = ['sync target one'];
    engine = await openEngine({ backend: 'memory', path: '', clock, historyMs: HOUR_MS, holders });
    for (let n = 0; n < 10; n++) await engine.put(`kv/${n}`, Buffer.from('before'));
    isAway = false;
    const replicator = start(1, open);
    await until(() => replicator.status().state === 'current');
    isAway = true;
    remote.faults.push(fail('NotReachable'));
    await engine.put('kv/0', Buffer.from('while away'));
    await until(() => replicator.status().state === 'offline');
    return replicator;
  }

  async function comeBack(replicator: Replicator): Promise<void> {
    isAway = false;
    clock.advance(60_000);
    await until(() => replicator.status().state === 'current');
  }

  it('holds the log at its cursor, however old that gets, and goes on from there', async () => {
    const replicator = await leave();
    const cursor = claimed();
    await engine.delete('kv/1');
    clock.advance(3 * HOUR_MS);
    await engine.put('kv/2', Buffer.from('late'));
    await engine.put('kv/2', Buffer.from('later'));
    expect(await compacted()).toBe(cursor);
    expect((await engine.stats()).heldBy).toEqual({ name: 'sync target one', revision: cursor });
    await comeBack(replicator);
    expect(states().filter((state) => state === 'comparing')).toHaveLength(1);
    expect([valueAt('kv/0'), valueAt('kv/1'), valueAt('kv/2')]).toEqual([
      'while away',
      undefined,
      'later',
    ]);
    // It has all: what is old goes now.
    await engine.put('kv/2', Buffer.from('last'));
    expect(await compacted()).toBeGreaterThan(cursor);
  });

  it('is told to compare when the log had to go on without it', async () => {
    const replicator = await leave();
    const cursor = claimed();
    await engine.delete('kv/1');
    const large = new Uint8Array(MiB);
    for (let n = 0; n < 70; n++) await engine.put('kv/large', large);
    expect(await compacted()).toBeGreaterThan(cursor);
    await comeBack(replicator);
    const reason = 'the log was compacted beyond the checkpoint';
    expect(changes).toContainEqual(expect.objectContaining({ to: 'comparing', reason }));
    expect([valueAt('kv/0'), valueAt('kv/1')]).toEqual(['while away', undefined]);
    expect(remote.values.get(`${subtree}kv/large`)?.value).toHaveLength(MiB);
  });
});

describe('a target that never answers and ignores every signal', () => {
  it.each(['open', 'readCheckpoint', 'list', 'apply', 'close'] as const)(
    'in %s: the run still ends',
    async (call) => {
      let asked = false;
      const silent = (): Promise<never> => {
        asked = true;
        return new Promise(() => undefined);
      };
      const real = remote.open(place);
      const deaf: ReplicaTarget = {
        id: 'one',
        limits: real.limits,
        readCheckpoint: (signal) => real.readCheckpoint(signal),
        apply: (...args) => real.apply(...args),
        list: (signal) => real.list(signal),
        close: () => real.close(),
        ...(call === 'list'
          ? { list: () => ({ [Symbol.asyncIterator]: () => ({ next: silent }) }) }
          : { [call]: silent }),
      };
      start(1, () => (call === 'open' ? silent() : Promise.resolve(deaf)));
      if (call === 'close') await until(() => states().includes('current'));
      else await until(() => asked);
      stop.abort();
      // One second is for the target to close; it isn't waited for longer.
      if (call === 'close') {
        await until(() => asked && clock.sleeps.includes(1000));
        clock.advance(1000);
      }
      await running;
      expect(states().at(-1)).toBe('stopped');
      expect(clock.sleeps).toEqual([]);
    },
  );
});

describe('an engine that fails', () => {
  it('ends the run with its error: that is no matter of the target', async () => {
    const replicator = start();
    await until(() => replicator.status().state === 'current');
    await engine.close();
    await expect(running).rejects.toMatchObject({ code: 'Unavailable' });
    expect(replicator.status().state).toBe('stopped');
    engine = await openEngine({ backend: 'memory', path: '' });
    running = Promise.resolve();
  });
});

async function sessionOf(from: Engine): Promise<string> {
  const kv = await from.get('sync/cursor/one');
  return (JSON.parse(Buffer.from(kv!.value).toString()) as { session: string }).session;
}
