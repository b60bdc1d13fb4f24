/**
 * Goal: of real devices on this very host the facts are right, from attach to detach and back.
 * Method: loop devices in a scratch folder, with sysfs and mkfs as witnesses; only these are probed and
 * looked at, as others come and go on the host meanwhile.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopAttach, loopDetach, mount, umount } from '../../native/index.ts';
import { isRoot, MIB, run, Scratch } from '../../native/scratch.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import type { Device } from './device.ts';
import { DeviceRegistry } from './registry.ts';
import { blkidProbe } from './sources/blkid.ts';

const UUID = '5d1ec0de-0000-4000-8000-00000000c0de';
/** MBR disk signature, from which blkid and the kernel make PARTUUIDs. */
const SIGNATURE = 0x1c0ffee1;

/** A registry that looks at the whole host and tells of the devices below one folder only. */
class Witness {
  readonly store = new MemoryFacts();
  probes = 0;
  readonly #folder: string;
  readonly #registry: DeviceRegistry;

  constructor(folder: string) {
    this.#folder = folder;
    this.#registry = new DeviceRegistry({
      store: this.store,
      probe: async (device) => {
        if (!this.#isOurs(device)) return { outcome: 'nothing' };
        this.probes += 1;
        return blkidProbe(device);
      },
    });
  }

  /** What a scan says of ours, e.g. `changed loop3`. */
  async scan(): Promise<string[]> {
    const events = await this.#registry.scan();
    const ours = events.filter(({ device }) => this.#isOurs(device.path) || this.#isKept(device));
    return ours.map(({ type, device }) => `${type} ${device.name}`);
  }

  get(ref: string): Device {
    return this.#registry.get(ref);
  }

  codesAgainst(ref: string): string[] {
    const { reasons } = this.#registry.judge(this.get(ref));
    return reasons.filter(({ against }) => against).map(({ code }) => code);
  }

  #isOurs(devicePath: string): boolean {
    const disk = /^\/dev\/(loop\d+)/.exec(devicePath)?.[1];
    try {
      const file = readFileSync(`/sys/block/${disk}/loop/backing_file`, 'utf8');
      return file.startsWith(`${this.#folder}/`);
    } catch {
      return false;
    }
  }

  #isKept({ backingFile }: Device): boolean {
    return backingFile?.startsWith(`${this.#folder}/`) ?? false;
  }
}

describe.runIf(isRoot)('devices of this host (needs root)', () => {
  let scratch: Scratch;
  let witness: Witness;
  beforeEach(() => {
    scratch = new Scratch();
    witness = new Witness(scratch.dir);
  });
  afterEach(() => scratch[Symbol.dispose]());

  it('that can not be read are not free, though blkid finds nothing on them', async () => {
    const image = scratch.image('image', 8 * MIB);
    const { path } = await loopAttach({ backingFile: image });
    await witness.scan();
    expect(witness.get(path).content).toBe('nothing');
    expect(witness.codesAgainst(path)).toEqual([]);
    await loopDetach(path);
    await witness.scan();
    const again = await loopAttach({ backingFile: image });
    truncateSync(image, 0);
    await witness.scan();
    expect(witness.get(again.path).content).toBe('unreadable');
    expect(witness.codesAgainst(again.path)).toEqual(['content-unknown']);
    await loopDetach(again.path);
  });

  it('that are read-only are not free', async () => {
    const { path } = await loopAttach({ backingFile: scratch.image('image', MIB), readOnly: true });
    await witness.scan();
    expect(witness.codesAgainst(path)).toEqual(['read-only']);
    await loopDetach(path);
  });

  it('stand on the device that the file system of their file is on', async () => {
    const lower = await loopAttach({ backingFile: scratch.image('lower', 32 * MIB) });
    run('mkfs.ext4', ['-q', lower.path]);
    const folder = scratch.folder('with space');
    await mount({ source: lower.path, target: folder, type: 'ext4' });
    const image = scratch.image('with space/upper', MIB);
    const upper = await loopAttach({ backingFile: image });
    await witness.scan();
    expect(witness.get(upper.path).backingDevice).toBe(witness.get(lower.path).name);
    await loopDetach(upper.path);
    await umount(folder);
    await loopDetach(lower.path);
  });

  it('are known from attach to detach and back', async () => {
    const image = scratch.image('image', 32 * MIB);
    const { path } = await loopAttach({ backingFile: image });
    const name = path.slice('/dev/'.length);
    expect(await witness.scan()).toEqual([`appeared ${name}`]);
    const { id, ...device } = witness.get(path);
    const diskseq = Number(readFileSync(`/sys/block/${name}/diskseq`, 'utf8'));
    expect(device).toMatchObject({
      name,
      kind: 'loop',
      sizeBytes: 32 * MIB,
      backingFile: image,
      identity: { scheme: 'backing-file', value: image, confidence: 'low' },
      diskseq,
      mountPoints: [],
      present: true,
    });
    expect(device).not.toHaveProperty('fileSystem');

    run('mkfs.ext4', ['-q', '-L', 'before', '-U', UUID, path]);
    expect(await witness.scan()).toEqual([`changed ${name}`]);
    expect(witness.get(id).fileSystem).toEqual({ type: 'ext4', label: 'before', uuid: UUID });
    run('e2label', [path, 'my data']);
    expect(await witness.scan()).toEqual([`changed ${name}`]);
    expect(witness.get(id).fileSystem?.label).toBe('my data');

    const folder = scratch.folder('with space');
    await mount({ source: path, target: folder, type: 'ext4' });
    expect(await witness.scan()).toEqual([`changed ${name}`]);
    expect(witness.get(id).mountPoints).toEqual([folder]);

    writeFileSync(`${folder}/file`, 'written while mounted');
    run('sync', ['-f', folder]);
    const { probes } = witness;
    const { length } = witness.store.saves.filter((saved) => saved === id);
    expect(await witness.scan()).toEqual([]);
    expect(witness.probes).toBe(probes);
    expect(witness.store.saves.filter((saved) => saved === id)).toHaveLength(length);

    await umount(folder);
    await loopDetach(path);
    expect(await witness.scan()).toEqual([`disappeared ${name}`]);
    expect(witness.get(id)).toMatchObject({
      present: false,
      mountPoints: [],
      fileSystem: { label: 'my data', uuid: UUID },
    });

    const again = await loopAttach({ backingFile: image });
    expect(await witness.scan()).toEqual([`returned ${again.path.slice('/dev/'.length)}`]);
    expect(witness.get(again.path)).toMatchObject({
      id,
      present: true,
      fileSystem: { uuid: UUID },
    });
    expect(witness.get(again.path).diskseq).toBeGreaterThan(diskseq);
  });

  it('show their partitions', async () => {
    const image = scratch.image('image', 32 * MIB);
    writeFileSync(image, partitionTable([2048, 8192], [10240, 16384]), { flag: 'r+' });
    const { path } = await loopAttach({ backingFile: image });
    const name = path.slice('/dev/'.length);
    run('partx', ['--add', path]);
    try {
      expect((await witness.scan()).toSorted()).toEqual(
        [name, `${name}p1`, `${name}p2`].map((one) => `appeared ${one}`),
      );
      expect(witness.get(name).children).toEqual([`${name}p1`, `${name}p2`]);
      expect(witness.get(`${name}p2`)).toMatchObject({
        kind: 'partition',
        parent: name,
        sizeBytes: 16384 * 512,
        identity: { scheme: 'partuuid', value: '1c0ffee1-02', confidence: 'medium' },
        content: 'nothing',
      });
      // The disk stays its file's, and its partitions have nothing of it.
      expect(witness.get(name).identity.scheme).toBe('backing-file');
      expect(witness.get(`${name}p1`)).not.toHaveProperty('backingFile');
    } finally {
      run('partx', ['--delete', path]);
    }
  });
});

/** An MBR (UEFI specification 5.2.1) with these partitions: first sector, sectors. */
function partitionTable(...partitions: (readonly [number, number])[]): Buffer {
  const sector = Buffer.alloc(512);
  sector.writeUInt32LE(SIGNATURE, 440);
  for (const [index, [first, count]] of partitions.entries()) {
    const at = 446 + index * 16;
    sector[at + 4] = 0x83;
    sector.writeUInt32LE(first, at + 8);
    sector.writeUInt32LE(count, at + 12);
  }
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}
