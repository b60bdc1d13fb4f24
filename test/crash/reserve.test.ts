/**
 * Goal: on a full disk deletes go on, hundreds of them, out of the reserve: lone ones, transactions, ends of
 * leases, compaction. Puts are refused with the numbers until there is room for the reserve again, and then
 * taken without a restart; so after a SIGKILL in the middle. Method: ext4 on loop devices of 64 MiB, filled to
 * the brim by a file beside the store, or by the store itself.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Scratch } from '../../native/scratch.ts';
import { KiB, MiB } from '../../src/base/bytes.ts';
import { HoldfastError } from '../../src/base/errors.ts';
import { openEngine, type BackendName, type Engine } from '../../src/engine/index.ts';
import { checkOffline } from '../../src/engine/offline.ts';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import { fillUp, freeBytes, mountExt4 } from '../support/small-disk.ts';

const DISK_BYTES = 64 * MiB;
const KEYS = 1200;
const isRoot = process.getuid?.() === 0;
/** Hundreds of synced commits on a loop device: a second alone, a minute on a busy host. */
vi.setConfig({ testTimeout: 180_000 });

describe.runIf(isRoot).each(['sqlite', 'lmdb'] as const)('%s (needs root: mounts)', (backend) => {
  let scratch: Scratch;
  let disk: string;
  let engine: Engine | undefined;
  beforeEach(async () => {
    engine = undefined;
    scratch = new Scratch();
    disk = scratch.folder('disk-mnt');
    await mountExt4(scratch, disk, DISK_BYTES);
  });
  afterEach(async () => {
    await engine?.close();
    scratch[Symbol.dispose]();
  });
  const store = () => ({ backend, path: path.join(disk, 'engine') });
  const other = () => path.join(disk, 'other');

  /** With its reserve as large as it will be. */
  async function filledBy(keys: number, bytes: number): Promise<Engine> {
    const opened = await openEngine(store());
    for (let i = 0; i < keys; i += 100) {
      const some = Array.from({ length: 100 }, (_, n) => keyOf(i + n));
      await Promise.all(some.map((key) => opened.put(key, new Uint8Array(bytes))));
    }
    await opened.close();
    engine = await openEngine(store());
    expect((await engine.stats()).reserveBytes).toBeGreaterThanOrEqual(4 * MiB);
    return engine;
  }

  async function expectWhole(keys: number): Promise<void> {
    expect(await engine!.stats()).toMatchObject({ keys });
    await engine!.close();
    engine = undefined;
    expect(await checkOffline(store().path, scratch.folder('copy'))).toMatchObject({
      keys,
      errors: 0,
      findings: [],
    });
  }

  test('filled by another file: deletes go on, puts come back with the room', async () => {
    const full = await filledBy(KEYS, 2 * KiB);
    const lease = await full.leases.grant(60);
    await full.put('leased', new Uint8Array(8), { lease });
    fillUp(other());
    expect(await putsUntilRefused(full)).toMatchObject({
      code: 'NoSpace',
      retry: 'later',
      message: expect.stringMatching(/B are free there, .* were asked for$/) as string,
      hint: expect.stringContaining('free space') as string,
    });
    const { keys } = await full.stats();

    for (let i = 0; i < 500; i += 1) expect(await full.delete(keyOf(i))).toBeDefined();
    const some = Array.from({ length: 300 }, (_, n) => keyOf(500 + n));
    await full.txn(
      [],
      some.map((key) => ({ type: 'delete', key })),
    );
    await Promise.all(Array.from({ length: 200 }, (_, n) => full.delete(keyOf(800 + n))));
    await full.leases.revoke(lease);
    await full.compact(full.revision - 10);
    expect(await full.stats()).toMatchObject({
      keys: keys - 1001,
      reserveBytes: 0,
      refusesPuts: true,
      logEntries: expect.toSatisfy((entries: number) => entries <= 10) as number,
    });
    expect((await full.get(keyOf(1100)))?.value).toHaveLength(2 * KiB);

    rmSync(other());
    await full.put('back', new Uint8Array(8));
    expect(await full.stats()).toMatchObject({ refusesPuts: false });
    expect((await full.stats()).reserveBytes).toBeGreaterThanOrEqual(4 * MiB);
    await expectWhole(keys - 1000);
  });

  test('filled by the store itself: what is deleted makes room for new keys, with nothing else freed', async () => {
    const full = await filledBy(100, 40 * KiB);
    let last = 100;
    const refused = await putsUntilRefused(full, () => ((last += 1), keyOf(last)), 128 * KiB);
    expect(refused.code).toBe('NoSpace');
    const keys = (await full.list('fill')).kvs.map(({ key }) => key);
    expect(keys.length).toBeGreaterThan(200);
    for (const key of keys.slice(0, 180)) await full.delete(key);
    const { revision } = full;
    for (let i = 0; i < 40; i += 1) await full.put(`new/${i}`, new Uint8Array(10 * KiB));
    expect(full.revision).toBe(revision + 40);
    expect((await full.stats()).refusesPuts).toBe(false);
    await expectWhole((await full.stats()).keys);
  });

  test('while puts hammer at it', async () => {
    const full = await filledBy(KEYS, 2 * KiB);
    fillUp(other());
    let done = false;
    const refusals = new Set<string>();
    const hammering = [0, 1, 2, 3].map(async () => {
      while (!done) {
        await full.put('hammer', new Uint8Array(4 * KiB)).catch((thrown: unknown) => {
          refusals.add((thrown as HoldfastError).code);
        });
      }
    });
    try {
      for (let i = 0; i < 300; i += 1) expect(await full.delete(keyOf(i))).toBeDefined();
    } finally {
      done = true;
      await Promise.all(hammering);
    }
    expect([...refusals]).toEqual(['NoSpace']);
  });

  test('another program takes what was given back: deletes say so, and go on when it is free again', async () => {
    const full = await filledBy(KEYS, 2 * KiB);
    fillUp(other());
    let taken: unknown;
    for (let i = 0; taken === undefined && i < KEYS - 1; i += 1) {
      fillUp(other());
      await full.delete(keyOf(i)).catch((thrown: unknown) => (taken = thrown));
    }
    if (backend === 'sqlite') {
      expect(taken).toMatchObject({ code: 'NoSpace' });
      expect((taken as HoldfastError).message).toContain('the reserve for deletes is used up');
      await expect(full.put('x', new Uint8Array(8))).rejects.toMatchObject({ code: 'NoSpace' });
      // LMDB needs no more of the disk: what each delete frees inside its file is enough for the next one.
    } else expect(taken).toBeUndefined();
    expect((await full.get(keyOf(KEYS - 1)))?.value).toHaveLength(2 * KiB);
    rmSync(other());
    await full.delete(keyOf(KEYS - 1));
    await full.put('back', new Uint8Array(8));
    await expectWhole((await full.stats()).keys);
  });

  test('SIGKILL in the middle: reads and deletes go on at the next start, and then all', async () => {
    await (await filledBy(KEYS, 2 * KiB)).close();
    engine = undefined;
    fillUp(other());
    const told = await killedDeleter(backend, store().path, 200);
    expect(freeBytes(disk)).toBeLessThan(DISK_BYTES / 2);

    engine = await openEngine(store());
    const left = (await engine.list('fill')).kvs.map(({ key }) => key);
    expect(left.filter((key) => told.includes(key))).toEqual([]);
    // One may be deleted without having been told.
    expect(left.length).toBeGreaterThanOrEqual(KEYS - told.length - 1);
    for (const key of left.slice(0, 100)) await engine.delete(key);
    rmSync(other());
    await engine.put('back', new Uint8Array(8));
    await vi.waitUntil(async () => {
      await engine!.put('back', new Uint8Array(8));
      return (await engine!.stats()).reserveBytes >= MiB;
    });
    await expectWhole(left.length - 100 + 1);
  });
});

function keyOf(n: number): string {
  return `fill/${String(n).padStart(5, '0')}`;
}

/** @returns the refusal. The key is the same unless said: nothing of it may stay. */
async function putsUntilRefused(
  engine: Engine,
  key: () => string = () => 'refused',
  bytes = 64 * KiB,
): Promise<HoldfastError> {
  for (let i = 0; i < 5_000; i += 1) {
    try {
      await engine.put(key(), new Uint8Array(bytes));
    } catch (thrown) {
      if (thrown instanceof HoldfastError) return thrown;
      throw thrown;
    }
  }
  throw new Error('the disk did not fill up');
}

/** Killed as soon as it told of `least` deletes. @returns the keys it told of */
async function killedDeleter(backend: BackendName, at: string, least: number): Promise<string[]> {
  const program = compiledProgram('test/crash/deleter.ts', ['src/engine', 'src/base']);
  let told = '';
  const child = await Child.start(process.execPath, [program, '--backend', backend, '--path', at], {
    onStdout: (chunk) => (told += chunk),
  });
  const keys = (): string[] => told.split('\n').slice(0, -1);
  await child.waitUntil('it is in the middle', () => keys().length >= least);
  await child.kill();
  return keys();
}
