/**
 * Goal: whatever happens to the target, the link, the log or this process, the target ends up equal to
 * the engine, local writes never wait for it, and it is sent a key, not every write of it.
 * Method: the real engine and a real etcd, read back with etcd's own client.
 */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/index.ts';
import { serverMissing, startEtcd, type Etcd } from '../servers/index.ts';
import {
  Follower,
  LOCAL_PREFIXES,
  localTree,
  openTempEngine,
  placeOf,
  remoteTree,
  revisionOf,
  text,
  until,
} from './sync-rig.ts';

/** Nothing listens on it: connections are refused at once. */
const NOWHERE = 'http://127.0.0.1:9';
const missing = serverMissing('etcd');

describe.skipIf(missing !== undefined)(`sync to etcd ${missing ?? ''}`, () => {
  let etcd: Etcd;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd?.stop());

  async function expectEqual(engine: Engine, follower: Follower, at: Etcd = etcd): Promise<void> {
    await follower.converged();
    expect(await remoteTree(at, follower.place)).toEqual(await localTree(engine));
  }

  it('compares at first contact, then follows the log, and resumes after a restart', async () => {
    await using engine = await openTempEngine();
    for (let n = 0; n < 250; n++) await engine.put(`kv/before/${n}`, text(`${n}`));
    await engine.delete('kv/before/7');
    const place = placeOf();
    const first = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, first);
    expect(first.comparisons).toEqual(['first contact']);

    await engine.put('kv/after', text('1'));
    await engine.put('kv/ünï/日本/😀', text('any UTF-8'));
    await engine.put('kv/empty', new Uint8Array());
    await engine.delete('kv/before/8');
    await engine.txn(
      [],
      [
        { type: 'put', key: 'volumes/a', value: text('x') },
        { type: 'delete', key: 'kv/before/9' },
      ],
    );
    await expectEqual(engine, first);
    await first.stop();
    expect(first.replicator.status().state).toBe('stopped');

    await engine.put('kv/while-stopped', text('2'));
    await using second = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, second);
    expect(second.comparisons).toEqual([]);
  });

  it('never sends what is local', async () => {
    await using engine = await openTempEngine();
    await using follower = new Follower(engine, etcd.endpoint);
    await follower.converged();
    for (const prefix of LOCAL_PREFIXES) {
      if (prefix !== 'sync') await engine.put(`${prefix}/x`, text('secret'));
    }
    await engine.put('something-new/x', text('not declared, so local'));
    await engine.put('kv/last', text('1'));
    await follower.converged();
    expect(Object.keys(await remoteTree(etcd, follower.place))).toEqual(['kv/last']);
  });

  it('sends keys, not writes: a key written often while the target is away travels once', async () => {
    await using engine = await openTempEngine();
    const place = placeOf();
    const first = new Follower(engine, etcd.endpoint, { place });
    await first.converged();
    await first.stop();

    const writes = Array.from({ length: 2000 }, (_, n) =>
      engine.put(`kv/hot/${n % 10}`, text(`${n}`)),
    );
    await Promise.all(writes);
    const before = await revisionOf(etcd);
    await using second = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, second);
    // All ten keys fit one transaction, which is one revision of etcd.
    expect((await revisionOf(etcd)) - before).toBe(1);
  });

  it('a target that is down from the start delays nothing, and gets it all once it is there', async () => {
    await using late = await startEtcd();
    await late.kill();
    await using engine = await openTempEngine();
    await using follower = new Follower(engine, late.endpoint);
    for (let n = 0; n < 300; n++) await engine.put(`kv/${n}`, text('x'));
    await follower.reached('offline');
    const { lagRevisions, lastError } = follower.replicator.status();
    expect(lagRevisions).toBeGreaterThanOrEqual(300);
    expect(lastError).toMatchObject({ code: 'NotReachable' });
    expect(lastError?.message).toContain(late.endpoint);

    await late.restart();
    await expectEqual(engine, follower, late);
    expect(follower.replicator.status().lastError).toBeUndefined();
  });

  it('survives a target killed again and again in the middle of writes', async () => {
    await using flaky = await startEtcd();
    await using engine = await openTempEngine();
    await using follower = new Follower(engine, flaky.endpoint);
    await follower.converged();
    for (let round = 0; round < 3; round++) {
      const writing = Promise.all(
        Array.from({ length: 400 }, (_, n) => engine.put(`kv/${n}`, text(`${round}:${n}`))),
      );
      await flaky.kill();
      // Acknowledged here with the target dead: a put that waited for it would never end.
      await writing;
      for (let n = 0; n < 50; n++) await engine.delete(`kv/${round * 50 + n}`);
      await flaky.restart();
    }
    await expectEqual(engine, follower, flaky);
    expect(follower.comparisons).toEqual(['first contact']);
  });

  it('compares when the log no longer reaches back to the checkpoint', async () => {
    await using engine = await openTempEngine();
    const place = placeOf();
    await engine.put('kv/doomed', text('1'));
    const first = new Follower(engine, etcd.endpoint, { place });
    await first.converged();
    await first.stop();

    await engine.put('kv/new', text('1'));
    await engine.delete('kv/doomed');
    await engine.compact(engine.revision, { overHolds: true });
    await using second = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, second);
    expect(second.comparisons).toEqual(['the log was compacted beyond the checkpoint']);
  });

  it('notices that the target lost its data while all was quiet, and fills it again', async () => {
    await using fragile = await startEtcd();
    await using engine = await openTempEngine();
    for (let n = 0; n < 150; n++) await engine.put(`kv/${n}`, text(`${n}`));
    await using follower = new Follower(engine, fragile.endpoint, { times: { idleCheckMs: 100 } });
    await follower.converged();
    await fragile.kill();
    await rm(fragile.dataDir, { recursive: true });
    await fragile.restart();
    await until('a comparison', () =>
      follower.comparisons.includes('the target lost our checkpoint'),
    );
    await expectEqual(engine, follower, fragile);
    expect(follower.comparisons).toEqual(['first contact', 'the target lost our checkpoint']);
  });

  it('takes up again at the older checkpoint of a target restored from a backup', async () => {
    await using engine = await openTempEngine();
    const place = placeOf();
    const key = `/holdfast/hosts/${place.replicaId}/.checkpoint`;
    await engine.put('kv/a', text('old'));
    const first = new Follower(engine, etcd.endpoint, { place });
    await first.converged();
    const backup = await etcd.etcdctl(['get', key, '--print-value-only']);
    await engine.put('kv/a', text('new'));
    await engine.put('kv/b', text('new'));
    await first.converged();
    await first.stop();

    await etcd.etcdctl(['put', key, backup.trim()]);
    await etcd.etcdctl(['put', `/holdfast/hosts/${place.replicaId}/kv/a`, 'old']);
    await etcd.etcdctl(['del', `/holdfast/hosts/${place.replicaId}/kv/b`]);
    await using second = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, second);
    expect(second.comparisons).toEqual([]);
  });

  it('removes foreign keys from our subtree by comparison, and none outside of it', async () => {
    await using engine = await openTempEngine();
    const place = placeOf();
    await engine.put('kv/a', text('mine'));
    const subtree = `/holdfast/hosts/${place.replicaId}/`;
    await etcd.etcdctl(['put', `${subtree}kv/a`, 'not mine']);
    await etcd.etcdctl(['put', `${subtree}zzz`, 'foreign']);
    await etcd.etcdctl(['put', `${subtree}.other`, 'foreign']);
    const neighbour = `/holdfast/hosts/${place.replicaId}0/kv/a`;
    await etcd.etcdctl(['put', neighbour, 'theirs']);
    await using follower = new Follower(engine, etcd.endpoint, { place });
    await expectEqual(engine, follower);
    expect(await etcd.etcdctl(['get', neighbour, '--print-value-only'])).toBe('theirs\n');
  });

  it('refuses to overwrite another writer, and takes over once its checkpoint is deleted', async () => {
    await using engine = await openTempEngine();
    const place = placeOf();
    const subtree = `/holdfast/hosts/${place.replicaId}/`;
    await engine.put('kv/a', text('mine'));
    const first = new Follower(engine, etcd.endpoint, { place });
    await first.converged();
    await first.stop();
    const theirs = JSON.stringify({ incarnation: 'x', revision: 5, session: 'theirs' });
    await etcd.etcdctl(['put', `${subtree}.checkpoint`, theirs]);
    await etcd.etcdctl(['put', `${subtree}kv/a`, 'theirs']);

    await engine.put('kv/b', text('mine'));
    await using follower = new Follower(engine, etcd.endpoint, { place });
    await follower.reached('refused');
    const { error } = follower.changes.find(({ to }) => to === 'refused')!;
    expect(error).toMatchObject({ code: 'Conflict' });
    expect(error?.message).toContain('session theirs');
    expect(error?.hint).toContain('.checkpoint');
    expect(await etcd.etcdctl(['get', `${subtree}kv/a`, '--print-value-only'])).toBe('theirs\n');

    await etcd.etcdctl(['del', `${subtree}.checkpoint`]);
    await expectEqual(engine, follower);
  });

  it('two hosts that believe to be the same one: one stops, neither fights for ever', async () => {
    const place = placeOf();
    await using engine = await openTempEngine();
    await engine.put('kv/a', text('1'));
    const original = new Follower(engine, etcd.endpoint, { place });
    await original.converged();
    await using other = await openTempEngine();
    await using usurper = new Follower(other, etcd.endpoint, { place });
    // A store that never met the target compares and takes over; the one before it must give way.
    await usurper.converged();
    await engine.put('kv/b', text('2'));
    await original.reached('refused');
    const before = await revisionOf(etcd);
    await until('a second refusal', async () => {
      await engine.put('kv/c', text(`${performance.now()}`));
      return original.replicator.status().lastError?.code === 'Conflict';
    });
    expect(await revisionOf(etcd)).toBe(before);
    expect(usurper.replicator.status().state).toBe('current');
    await original.stop();
  });

  it('parks what the target can never take, in comparison and in the log, and goes on', async () => {
    await using strict = await startEtcd({ args: ['--max-request-bytes=65536'] });
    await using engine = await openTempEngine();
    const tooLarge = new Uint8Array(100_000);
    await engine.put('kv/large-before', tooLarge);
    for (let n = 0; n < 50; n++) await engine.put(`kv/${n}`, new Uint8Array(4000).fill(n));
    await using follower = new Follower(engine, strict.endpoint);
    await follower.converged();
    await engine.txn(
      [],
      [
        { type: 'put', key: 'kv/large-later', value: tooLarge },
        { type: 'put', key: 'kv/zz', value: text('after it') },
      ],
    );
    await until('two parked', () => follower.replicator.status().parked === 2);
    await follower.converged();
    const rest = await localTree(engine);
    for (const parked of ['kv/large-before', 'kv/large-later']) delete rest[parked];
    expect(await remoteTree(strict, follower.place)).toEqual(rest);
    const { kvs } = await engine.list('sync/parked/etcd');
    expect(kvs.map(({ value }) => JSON.parse(Buffer.from(value).toString()))).toMatchObject([
      { key: 'kv/large-before', code: 'TooLarge' },
      { key: 'kv/large-later', code: 'TooLarge' },
    ]);

    await engine.put('kv/large-before', text('small now'));
    await engine.delete('kv/large-later');
    await until('none parked', () => follower.replicator.status().parked === 0);
    await expectEqual(engine, follower, strict);
  });

  it('claims nothing until a comparison is over, also when an entry of it is refused', async () => {
    // The halving of a batch once carried the claim from before the comparison into its session.
    await using strict = await startEtcd({ args: ['--max-request-bytes=65536'] });
    await using engine = await openTempEngine();
    for (let n = 0; n < 150; n++)
      await engine.put(`kv/${String(n).padStart(3, '0')}`, text(`${n}`));
    await engine.put('kv/050', new Uint8Array(100_000));
    await using follower = new Follower(engine, strict.endpoint, { times: { idleCheckMs: 50 } });
    await follower.converged();
    await strict.etcdctl(['del', '--prefix', `/holdfast/hosts/${follower.place.replicaId}/`]);
    await until('a comparison', () => follower.comparisons.length === 2);
    await follower.converged();
    const history = await checkpointHistory(strict, follower.place.replicaId);
    const lost = history.findIndex((revision) => revision === undefined);
    const after = history.slice(lost + 1);
    // Zero until the comparison is over: a claim in between would be trusted after a crash.
    expect(after.slice(0, -1).every((revision) => revision === 0)).toBe(true);
    expect(after.at(-1)).toBeGreaterThan(0);
    expect(after.length).toBeGreaterThan(2);
  });

  it('writes nothing, here or there, while nothing happens', async () => {
    await using engine = await openTempEngine();
    await engine.put('kv/a', text('1'));
    await using follower = new Follower(engine, etcd.endpoint, {
      times: { idleCheckMs: 10, cursorIntervalMs: 20 },
    });
    await follower.converged();
    await until('the cursor is saved', async () => {
      const kv = await engine.get('sync/cursor/etcd');
      return kv !== undefined && JSON.parse(Buffer.from(kv.value).toString()).revision > 0;
    });
    const before = [engine.revision, await revisionOf(etcd)];
    const reads = await readsOf(etcd);
    await until('many idle checks', async () => (await readsOf(etcd)) > reads + 50);
    expect([engine.revision, await revisionOf(etcd)]).toEqual(before);
  });

  it('stops at once while the target is unreachable', async () => {
    await using engine = await openTempEngine();
    const follower = new Follower(engine, NOWHERE, {
      times: { backoffFirstMs: 1e6, backoffMaxMs: 1e6 },
    });
    await follower.reached('offline');
    await follower.stop();
    expect(follower.states.at(-1)).toBe('stopped');
  });
});

/** Every value the checkpoint had, oldest first; undefined = deleted. */
async function checkpointHistory(etcd: Etcd, replicaId: string): Promise<(number | undefined)[]> {
  const key = `/holdfast/hosts/${replicaId}/.checkpoint`;
  const last = await revisionOf(etcd);
  const history: (number | undefined)[] = [];
  for (let revision = 2; revision <= last; revision++) {
    const value = await etcd.etcdctl(['get', key, `--rev=${revision}`, '--print-value-only']);
    history.push(value === '' ? undefined : (JSON.parse(value) as { revision: number }).revision);
  }
  return history;
}

/** Range calls that etcd has answered, by its own metrics. */
async function readsOf(etcd: Etcd): Promise<number> {
  const metrics = await (await fetch(`${etcd.endpoint}/metrics`)).text();
  const line = /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Range".*\} (\d+)/m;
  return Number(line.exec(metrics)?.[1] ?? 0);
}
