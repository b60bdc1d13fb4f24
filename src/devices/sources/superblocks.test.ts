/** Goal: a superblock is read once per change of its device, an idle scan reads none, and an answer stays with its device. */
import { describe, expect, it } from 'vitest';
import type { ProbeResult } from './blkid.ts';
import { Superblocks } from './superblocks.ts';
import type { BlockFacts } from './sysfs.ts';

/** `/dev/null` is readable on every host, and that is all that is asked of a node here. */
const DISK: BlockFacts = {
  name: 'null',
  major: 8,
  minor: 0,
  kind: 'disk',
  sizeBytes: 1 << 20,
  logicalBlockBytes: 512,
  physicalBlockBytes: 512,
  rotational: false,
  readOnly: false,
  removable: false,
  diskseq: 7,
  holders: [],
  slaves: [],
  sectorsWritten: 0,
};

const EXT4: ProbeResult = { outcome: 'found', fsType: 'ext4' };

class Bench {
  readonly asked: string[] = [];
  answer: () => ProbeResult | Promise<ProbeResult> = () => EXT4;
  diskseqNow: number | undefined = DISK.diskseq;
  readonly superblocks = new Superblocks(async (devicePath) => {
    this.asked.push(devicePath);
    return this.answer();
  });

  /** @returns how many probes the scan started. */
  async scan(
    facts: Partial<BlockFacts> = {},
    mounted = false,
    others: BlockFacts[] = [],
  ): Promise<number> {
    const before = this.asked.length;
    const devices = [{ ...DISK, ...facts }, ...others];
    await this.superblocks.refresh(
      devices,
      () => mounted,
      () => this.diskseqNow,
    );
    return this.asked.length - before;
  }
}

describe('an idle scan starts no process', () => {
  it('for a device that is free, mounted or partitioned', async () => {
    const bench = new Bench();
    expect([await bench.scan(), await bench.scan()]).toEqual([1, 0]);
    expect(bench.superblocks.of(DISK)).toBe(EXT4);
    expect([await bench.scan({}, true), await bench.scan({}, true)]).toEqual([1, 0]);
    const part = { ...DISK, name: 'zero', parent: 'null' };
    expect([await bench.scan({}, false, [part]), await bench.scan({}, false, [part])]).toEqual([
      2, 0,
    ]);
  });

  it('for one that is written to while it is in use', async () => {
    const bench = new Bench();
    await bench.scan({ sectorsWritten: 1 }, true);
    expect(await bench.scan({ sectorsWritten: 9000 }, true)).toBe(0);
    await bench.scan({ holders: ['dm-0'] });
    expect(await bench.scan({ holders: ['dm-0'], sectorsWritten: 9000 })).toBe(0);
  });

  it('for what has nothing to read: no size, a disc drive, a node that is not there', async () => {
    const bench = new Bench();
    expect(await bench.scan({ sizeBytes: 0 })).toBe(0);
    expect(await bench.scan({ kind: 'rom' })).toBe(0);
    expect(await bench.scan({ name: 'no-such-node' })).toBe(0);
  });
});

describe('a device is asked again', () => {
  it.each<[string, Partial<BlockFacts>]>([
    ['attached anew', { diskseq: 8 }],
    ['resized', { sizeBytes: 1 << 21 }],
    ['written to while free', { sectorsWritten: 8 }],
    ['taken into use', { holders: ['dm-0'] }],
  ])('when it was %s', async (_, facts) => {
    const bench = new Bench();
    await bench.scan();
    bench.diskseqNow = facts.diskseq ?? DISK.diskseq;
    expect(await bench.scan(facts)).toBe(1);
  });

  it('when it failed, but not at every scan', async () => {
    const bench = new Bench();
    bench.answer = () => ({ outcome: 'failed' });
    expect(await bench.scan()).toBe(1);
    const probes: number[] = [];
    for (let scan = 0; scan < 120; scan += 1) probes.push(await bench.scan());
    expect(probes.reduce((sum, n) => sum + n, 0)).toBe(2);
  });
});

describe('an answer stays with its device', () => {
  it('and is dropped when the name moved while it was on its way', async () => {
    const bench = new Bench();
    bench.diskseqNow = 8;
    await bench.scan();
    expect(bench.superblocks.of(DISK)).toBeUndefined();
  });

  it('and is forgotten with the attach it was true for, even when the next one can not be asked', async () => {
    const bench = new Bench();
    await bench.scan();
    await bench.scan({ diskseq: 8, sizeBytes: 0 });
    expect(bench.superblocks.of(DISK)).toBeUndefined();
  });

  it('and outlives a probe of the same attach that failed', async () => {
    const bench = new Bench();
    await bench.scan();
    bench.answer = () => ({ outcome: 'failed' });
    await bench.scan({ sectorsWritten: 8 });
    expect(bench.superblocks.of(DISK)).toBe(EXT4);
  });
});

it('never asks a second time while the first process hangs', async () => {
  const bench = new Bench();
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  bench.answer = () => ({ outcome: 'late', ended });
  expect(await bench.scan()).toBe(1);
  expect(await bench.scan({ sectorsWritten: 8 })).toBe(0);
  end();
  await ended;
  bench.answer = () => EXT4;
  expect(await bench.scan({ sectorsWritten: 8 })).toBe(1);
});

it('asks two at a time', async () => {
  let running = 0;
  let most = 0;
  const superblocks = new Superblocks(async () => {
    most = Math.max(most, (running += 1));
    await Promise.resolve();
    running -= 1;
    return EXT4;
  });
  const devices = ['null', 'zero', 'full', 'random', 'urandom'].map((name) => ({ ...DISK, name }));
  await superblocks.refresh(
    devices,
    () => false,
    () => DISK.diskseq,
  );
  expect(most).toBe(2);
  expect(devices.every((device) => superblocks.of(device) === EXT4)).toBe(true);
});
