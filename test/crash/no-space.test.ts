/**
 * Goal: a full disk costs no acknowledged write: what doesn't fit is refused with `NoSpace`, reads go on,
 * and when space is freed the same engine writes again, without a restart.
 * Method: real file systems of 24 MiB, filled by the store and by a file beside it.
 */
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Scratch } from '../../native/scratch.ts';
import { MiB } from '../../src/base/bytes.ts';
import { HoldfastError } from '../../src/base/errors.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { fillUp, freeBytes, mountExt4, mountTmpfs } from '../support/small-disk.ts';
import { refusal } from './store-files.ts';
import { verify } from './verify.ts';
import { valueOf, type Ack } from './workload.ts';

const DISK_BYTES = 24 * MiB;
/** What is left to the store; the ballast takes the rest and is what gets freed. */
const ROOM_BYTES = 6 * MiB;
const PUTS_MAX = 20_000;
const isRoot = process.getuid?.() === 0;

describe.runIf(isRoot).each([
  ['sqlite', 'ext4', mountExt4],
  ['sqlite', 'tmpfs', mountTmpfs],
  ['lmdb', 'ext4', mountExt4],
  ['lmdb', 'tmpfs', mountTmpfs],
] as const)('%s on a full %s (needs root: mounts)', (backend, _, mountDisk) => {
  let scratch: Scratch;
  let disk: string;
  let engine: Engine | undefined;
  beforeEach(async () => {
    engine = undefined;
    scratch = new Scratch();
    disk = scratch.folder('disk-mnt');
    await mountDisk(scratch, disk, DISK_BYTES);
  });
  afterEach(async () => {
    await engine?.close();
    scratch[Symbol.dispose]();
  });

  test('refuses what does not fit, loses nothing, goes on when space is freed', async () => {
    const store = { backend, path: path.join(disk, 'engine') };
    engine = await openEngine(store);
    const acks: Ack[] = [];
    const writing = new Puts(engine, acks);
    await writing.some(50);
    const ballast = path.join(disk, 'ballast');
    fillUp(ballast, freeBytes(disk) - ROOM_BYTES);

    const refused = await writing.untilRefused();
    expect(refused).toMatchObject({ code: 'NoSpace', retry: 'later' });
    expect(refused.message).toMatch(/[\d.]+ ([KM]i)?B are free there, .* were asked for$/);
    expect(refused.hint).toContain('free space');
    expect(await verify(engine, acks)).toMatchObject({ lost: 0, broken: 0, messages: [] });

    // Not a byte is left: also a restart in this state finds everything.
    fillUp(path.join(disk, 'rest'), DISK_BYTES);
    await engine.close();
    engine = await openEngine(store);
    expect(await verify(engine, acks)).toMatchObject({ lost: 0, broken: 0, messages: [] });
    expect(await new Puts(engine, acks, 'restarted').untilRefused()).toMatchObject({
      code: 'NoSpace',
    });

    rmSync(ballast);
    await new Puts(engine, acks, 'freed').some(50);
    expect(await verify(engine, acks)).toMatchObject({ lost: 0, broken: 0, messages: [] });
    await engine.close();
    expect(await refusal(backend, store.path, acks)).toBeUndefined();
  });

  test('no new store is left half made', async () => {
    fillUp(path.join(disk, 'ballast'), DISK_BYTES);
    const folder = path.join(disk, 'engine');
    expect(await refusal(backend, folder)).toMatchObject({ code: 'NoSpace' });
    rmSync(path.join(disk, 'ballast'));
    expect(readdirSync(folder)).toEqual([]);
    expect(await refusal(backend, folder)).toBeUndefined();
  });
});

/** Puts of up to 40 KiB, five at once, each remembered when it was acknowledged. */
class Puts {
  readonly #engine: Engine;
  readonly #acks: Ack[];
  readonly #epoch: string;
  #count = 0;

  constructor(engine: Engine, acks: Ack[], epoch = 'first') {
    this.#engine = engine;
    this.#acks = acks;
    this.#epoch = epoch;
  }

  async some(count: number): Promise<void> {
    for (let i = 0; i < count; i += 5) await Promise.all(this.#five());
  }

  /** @returns the refusal. @throws when nothing is refused */
  async untilRefused(): Promise<HoldfastError> {
    while (this.#count < PUTS_MAX) {
      const results = await Promise.allSettled(this.#five());
      for (const result of results) {
        if (result.status === 'fulfilled') continue;
        if (result.reason instanceof HoldfastError) return result.reason;
        throw result.reason;
      }
    }
    throw new Error(`${PUTS_MAX} puts and the disk of ${DISK_BYTES} bytes is not full`);
  }

  #five(): Promise<void>[] {
    return [0, 1, 2, 3, 4].map(async () => {
      this.#count += 1;
      const serial = `${this.#epoch}.${this.#count}`;
      const key = `fill/${this.#count % 700}`;
      const revision = await this.#engine.put(key, valueOf(key, serial));
      this.#acks.push({ revision, ops: [[key, serial]] });
    });
  }
}
