/**
 * Goal: whatever sysfs shows, a scan ends in facts of lower confidence or in an event: never in a crash, and never in
 * a device that is wrongly called free. Method: hosts as no kernel should show them, changed while they are read.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { buildTree, plant } from '../../test/fixtures/sys/tree.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { DeviceRegistry } from './registry.ts';
import type { ProbeResult, SuperblockProbe } from './sources/blkid.ts';
import { readBlockDevices } from './sources/sysfs.ts';
import { Tree } from './sources/tree.ts';

/** Reads blank on every device: what is not free then is so for another reason. */
const blank: SuperblockProbe = async () => ({ outcome: 'nothing' });

function registryOf(root: string, probe: SuperblockProbe = blank): DeviceRegistry {
  return new DeviceRegistry({ store: new MemoryFacts(), root, probe });
}

/** One device in a tree that has a node for it. */
function hostWith(name: string, files: Record<string, string>): string {
  const root = tempDir('bad');
  const dir = `sys/class/block/${name}`;
  const uevent = 'MAJOR=8\nMINOR=0\nDEVTYPE=disk\nDISKSEQ=1\n';
  plant(root, { 'proc/self/mountinfo': '', [`dev/${name}`]: '', [`${dir}/uevent`]: uevent });
  plant(path.join(root, dir), files, { device: '../../../devices/x' });
  return root;
}

const GOOD = { size: '2048\n', ro: '0\n', serial: 'ZFN0ABCD\n' };

async function verdictOf(root: string, name: string, probe?: SuperblockProbe) {
  const registry = registryOf(root, probe);
  await registry.scan();
  const { free, reasons } = registry.judge(registry.get(name));
  return { free, against: reasons.filter(({ against }) => against).map(({ code }) => code) };
}

describe('a disk', () => {
  it('that is as it should be is free, so that the following says something', async () => {
    expect(await verdictOf(hostWith('sda', GOOD), 'sda')).toEqual({ free: true, against: [] });
  });

  it.each<[string, Record<string, string>, string[]]>([
    ['of size 0', { ...GOOD, size: '0\n' }, ['no-identity', 'empty']],
    ['without a size', { serial: GOOD.serial }, ['no-identity', 'empty']],
    [
      'with a size beyond all numbers',
      { ...GOOD, size: `${'9'.repeat(400)}\n` },
      ['no-identity', 'empty'],
    ],
    ['that is read-only', { ...GOOD, ro: '1\n' }, ['read-only']],
    ['with a serial of 100,000 bytes', { ...GOOD, serial: 'A'.repeat(100_000) }, ['no-identity']],
    ['with an empty serial', { ...GOOD, serial: '\n' }, ['no-identity']],
    ['with a serial of padding', { ...GOOD, serial: '\0\0 \t\n' }, ['no-identity']],
    ['with the serial of a template', { ...GOOD, serial: '0123456789ABCDE\n' }, ['no-identity']],
  ])('%s is not free', async (_, files, against) => {
    expect(await verdictOf(hostWith('sda', files), 'sda')).toEqual({ free: false, against });
  });

  it.each<[ProbeResult, string]>([
    [{ outcome: 'failed' }, 'content-unknown'],
    [{ outcome: 'unreadable' }, 'content-unknown'],
    [{ outcome: 'late', ended: Promise.resolve() }, 'content-unknown'],
    [{ outcome: 'ambivalent' }, 'content'],
    [{ outcome: 'found', partitionTable: 'dos' }, 'content'],
    [{ outcome: 'found', fsType: 'LVM2_member' }, 'content'],
  ])('of which blkid said %o is not free', async (answer, code) => {
    const verdict = await verdictOf(hostWith('sda', GOOD), 'sda', async () => answer);
    expect(verdict).toEqual({ free: false, against: [code] });
  });

  it('that may not be read is not free', async () => {
    const root = hostWith('sda', GOOD);
    rmSync(path.join(root, 'dev/sda'));
    expect(await verdictOf(root, 'sda')).toEqual({ free: false, against: ['content-unknown'] });
  });
});

it('of the malformed host nothing is free', async () => {
  const root = tempDir('bad');
  buildTree('malformed', root);
  plant(root, { 'proc/self/mountinfo': '\0\n- - -\n', 'proc/swaps': 'x\n/dev/\xff' });
  for (const name of ['vdx', 'vdy', 'loop9']) plant(root, { [`dev/${name}`]: '' });
  const registry = registryOf(root);
  await registry.scan();
  const verdicts = registry.list().map((device) => [device.name, registry.judge(device).free]);
  // The image's name is not UTF-8, but it is a name.
  expect(verdicts).toEqual([
    ['loop9', true],
    ['vdx', false],
    ['vdy', false],
  ]);
});

describe('a device that goes while it is read', () => {
  /** Takes the device away at the nth file that is opened of it. */
  class VanishingTree extends Tree {
    #left: number;

    constructor(root: string, reads: number) {
      super(root);
      this.#left = reads;
    }

    override head(file: string): Buffer | undefined {
      if (file.includes('/sda/')) {
        if (this.#left === 0)
          rmSync(this.at('sys/class/block/sda'), { recursive: true, force: true });
        this.#left -= 1;
      }
      return super.head(file);
    }
  }

  it('is left out whole, whichever file was the last', async () => {
    const seen: number[] = [];
    for (let reads = 0; reads < 40; reads += 1) {
      const tree = new VanishingTree(hostWith('sda', GOOD), reads);
      seen.push((await readBlockDevices(tree)).length);
    }
    const last = seen.lastIndexOf(0);
    // It was read to its end only where it was there to the end.
    expect(last).toBeGreaterThan(8);
    expect(seen.slice(0, last + 1)).not.toContain(1);
    expect(seen.slice(last + 1)).toEqual(Array.from({ length: 39 - last }, () => 1));
  });
});

it('relations that go in circles end', async () => {
  const root = tempDir('bad');
  plant(root, { 'proc/self/mountinfo': '' });
  for (const [n, next] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const dir = `sys/class/block/dm-${n}`;
    plant(root, {
      [`${dir}/uevent`]: `MAJOR=252\nMINOR=${n}\nDEVTYPE=disk\nDISKSEQ=${n}\n`,
      [`${dir}/size`]: '2048\n',
      [`${dir}/dm/uuid`]: `mpath-${n}\n`,
      [`${dir}/holders/dm-${next}`]: '',
      [`${dir}/slaves/dm-${next}`]: '',
    });
  }
  const registry = registryOf(root);
  await registry.scan();
  const legs = registry.list().map(({ name, legOf }) => [name, legOf]);
  expect(legs).toEqual([
    ['dm-0', 'dm-1'],
    ['dm-1', 'dm-0'],
  ]);
});

it('a host with 5,000 disks is scanned, and its main loop turns meanwhile', async () => {
  const root = tempDir('bad');
  const files: Record<string, string> = { 'proc/self/mountinfo': '' };
  const links: Record<string, string> = {};
  for (let n = 0; n < 5_000; n += 1) {
    const dir = `sys/class/block/sd${n}`;
    files[`${dir}/uevent`] = `MAJOR=8\nMINOR=${n}\nDEVTYPE=disk\nDISKSEQ=${n}\n`;
    files[`${dir}/size`] = '2048\n';
    links[`${dir}/device`] = '../../../devices/x';
    // The last two claim to be the same disk.
    files[`${dir}/serial`] = `SERIAL-${Math.min(n, 4_998)}\n`;
  }
  plant(root, files, links);
  const registry = registryOf(root);
  let turns = 0;
  let isOver = false;
  const counting = (async () => {
    for (; !isOver; turns += 1) await nextTurn();
  })();
  const events = await registry.scan();
  isOver = true;
  await counting;
  expect(events).toHaveLength(5_000);
  expect(events.filter(({ type }) => type === 'quarantined')).toHaveLength(2);
  // A walk in one go would let it turn a handful of times.
  expect(turns).toBeGreaterThan(20);
  expect(await registry.scan()).toEqual([]);
}, 120_000);

const SEED = 20_261_124;
const CASES = 100;

it(`no device of a host of rubbish is called free (${CASES} hosts, seed ${SEED})`, async () => {
  const bytes = fc.oneof(
    fc.constantFrom(
      '',
      '\n',
      '0\n',
      '1\n',
      '2048\n',
      '-1\n',
      '8:0\n',
      'none\n',
      '\0',
      '9'.repeat(30),
    ),
    fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some).toString('latin1')),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  const attributes = [
    'uevent',
    'dev',
    'ro',
    'serial',
    'wwid',
    'size',
    'stat',
    'partition',
    'removable',
  ];
  const more = [
    'dm/uuid',
    'md/uuid',
    'loop/backing_file',
    'queue/logical_block_size',
    'backing_dev',
  ];
  const uevent = fc.tuple(bytes, bytes).map(([one, other]) => {
    return `MAJOR=8\nMINOR=1\nDISKSEQ=${one}\nPARTUUID=${other}\n`;
  });
  const device = fc.record(
    Object.fromEntries(
      [...attributes, ...more].map((name) => [
        name,
        name === 'uevent' ? fc.oneof(uevent, bytes) : bytes,
      ]),
    ),
    { requiredKeys: [] },
  );
  const host = fc.record({
    devices: fc.dictionary(
      fc.constantFrom('sda', 'loop0', 'dm-0', 'md1', 'zram0', 'nvme0n1'),
      device,
    ),
    mountinfo: bytes,
    swaps: bytes,
    udev: bytes,
  });
  const property = fc.asyncProperty(host, async ({ devices, mountinfo, swaps, udev }) => {
    const root = tempDir('bad');
    const files = {
      'proc/self/mountinfo': mountinfo,
      'proc/swaps': swaps,
      'sys/class/block/.x': '',
    };
    plant(root, { ...files, 'run/udev/data/b8:1': udev });
    for (const [name, attributesOf] of Object.entries(devices)) {
      plant(root, { [`dev/${name}`]: '' });
      const link = { device: '../../../devices/x' };
      plant(path.join(root, 'sys/class/block', name), attributesOf as Record<string, string>, link);
    }
    // Nobody can say what is on them: so none may be free.
    const registry = registryOf(root, async () => ({ outcome: 'failed' }));
    await registry.scan();
    for (const found of registry.list()) {
      if (registry.judge(found).free) throw new Error(`free: ${JSON.stringify(found)}`);
    }
    if ((await registry.scan()).length > 0) throw new Error('the same host looks changed');
    rmSync(root, { recursive: true });
  });
  await expect(fc.assert(property, { seed: SEED, numRuns: CASES })).resolves.toBeUndefined();
}, 60_000);
