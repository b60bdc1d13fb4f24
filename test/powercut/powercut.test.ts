/**
 * Goal: an acknowledged write outlives a power cut at any instant, on both backends, and an idle
 * engine writes nothing. Method: a real ext4 on a disk that is cloned mid-write (rig.ts); the control, an
 * engine that doesn't sync, has to lose. A short sample: `npm run test:powercut` cuts as often as asked.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/index.ts';
import { checkStore, WriterProcess } from '../crash/processes.ts';
import { Account } from '../crash/told.ts';
import { Random } from '../crash/random.ts';
import { blockStat } from './block-stat.ts';
import { cutEngine } from './engine-cuts.ts';
import { Rig } from './rig.ts';

const CUTS = 4;
const SEED = 7;
/** About when the writer comes to its store, and for how long it is at making it: cuts fall before, in and after. */
const NODE_START_MS = 70;
const MAKING_MS = 120;
/** Longer than a checkpoint or a batch could hide; what is dirty after it, the closing syncfs(2) writes. */
const IDLE_MS = 3000;
const isRoot = process.getuid?.() === 0;

describe.runIf(isRoot)('power cut (needs root: loop devices and mounts)', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.create();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test.each(['sqlite', 'lmdb'] as const)('%s: no acknowledged write is lost', async (backend) => {
    const totals = await cutEngine({ rig, backend, durability: 'commit', cuts: CUTS, seed: SEED });
    expect(totals).toMatchObject({ cuts: CUTS, lost: 0, broken: 0, messages: [] });
    expect(totals.acknowledged).toBeGreaterThanOrEqual(CUTS);
  });

  test.each(['sqlite', 'lmdb'] as const)(
    '%s: a cut while the store is made leaves none or a whole one',
    async (backend) => {
      const random = new Random(SEED);
      for (let i = 0; i < CUTS; i += 1) {
        const store = `made-${backend}-${i}`;
        const at = { backend, path: path.join(rig.folder, store) };
        const writer = await WriterProcess.spawn({ ...at, seed: i, epoch: '0' });
        await sleep(NODE_START_MS + random.below(MAKING_MS));
        const account = Account.of(writer.account);
        await using disk = await rig.cut();
        await writer.kill();
        const listFile = path.join(rig.outside, 'acks');
        const found = { backend, path: path.join(disk.folder, store) };
        const report = await checkStore({ ...found, account, listFile, epoch: '1' });
        expect(report).toMatchObject({ lost: 0, broken: 0, messages: [] });
      }
    },
  );

  test.each(['sqlite', 'lmdb'] as const)('%s without sync loses: the control', async (backend) => {
    const totals = await cutEngine({ rig, backend, durability: 'none', cuts: 2, seed: SEED });
    expect(totals.lost).toBeGreaterThan(0);
  });

  test.each(['sqlite', 'lmdb'] as const)(
    '%s: a put flushes the cache of the disk',
    async (backend) => {
      const engine = await openEngine({ backend, path: path.join(rig.folder, `flush-${backend}`) });
      try {
        const before = blockStat(rig.device).flushes;
        for (let i = 0; i < 5; i += 1) await engine.put('a', Buffer.from(`${i}`));
        expect(blockStat(rig.device).flushes).toBeGreaterThanOrEqual(before + 5);
      } finally {
        await engine.close();
      }
    },
  );

  test.each(['sqlite', 'lmdb'] as const)(
    '%s: an open engine with watches that is only read writes 0 bytes',
    async (backend) => {
      const engine = await openEngine({ backend, path: path.join(rig.folder, `idle-${backend}`) });
      const abort = new AbortController();
      let seen = 0;
      const watching = ['', 'a', 'b'].map(async (prefix) => {
        const watch = engine.watch(prefix, { from: 1, signal: abort.signal });
        for await (const { changes } of watch) seen += changes.length;
      });
      try {
        for (let i = 0; i < 100; i += 1) await engine.put(`a/${i}`, Buffer.alloc(500));
        // LMDB takes its reader's slot, a mapped page, at the first read after a commit.
        await engine.list('');
        execFileSync('sync', ['-f', rig.folder]);
        const before = blockStat(rig.device);
        for (let waitedMs = 0; waitedMs < IDLE_MS; waitedMs += 100) {
          await engine.list('');
          await engine.get('a/1');
          await engine.stats();
          await sleep(100);
        }
        // What a timer of the kernel would write 30 s later: a mapped page that was touched, an inode time.
        execFileSync('sync', ['-f', rig.folder]);
        expect(blockStat(rig.device).writtenBytes - before.writtenBytes).toBe(0);
        expect(seen).toBe(200);
      } finally {
        abort.abort();
        await Promise.all(watching);
        await engine.close();
      }
    },
  );
});
