/**
 * Goal: every driver keeps the contract, and each refuses what its own data can be done to behind our back.
 * Method: real loop devices and mounts; the kernel is the witness.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import type { HoldfastError } from '../../src/base/errors.ts';
import { undoStepsOf } from '../../src/volumes/planner.ts';
import { DirDriver } from '../../src/volumes/drivers/dir.ts';
import { LoopDriver } from '../../src/volumes/drivers/loop.ts';
import { attachedFiles } from '../crash/volume-view.ts';
import { DriverBench, driverContract, type DriverShape } from './volume-driver.ts';

const isRoot = process.getuid?.() === 0;
const DIR: DriverShape = {
  make: (site) => new DirDriver(site),
  spec: { driver: 'dir', sizeBytes: 0 },
};
const EXT4: DriverShape = {
  make: (site) => new LoopDriver(site),
  spec: { driver: 'loop', sizeBytes: 16 * MiB, fsType: 'ext4' },
};

driverContract('dir', DIR);
describe.runIf(isRoot)('loop (needs root: loop devices and mounts)', () => {
  driverContract('loop ext4', EXT4);
  const xfs = { ...EXT4.spec, sizeBytes: 300 * MiB, fsType: 'xfs' } as const;
  driverContract('loop xfs', { ...EXT4, spec: xfs });
  driverContract('loop preallocated', { ...EXT4, spec: { ...EXT4.spec, preallocate: true } });
});

describe.runIf(isRoot)('a loop volume refuses (needs root: loop devices and mounts)', () => {
  let bench: DriverBench;
  beforeEach(async () => {
    bench = new DriverBench(EXT4);
    await bench.operate('create');
  });
  afterEach(() => bench.clean());

  /** How a mount is refused; nothing of it is left after the undo. */
  async function refusal(): Promise<string> {
    const error = await bench.operate('mount').then(
      () => undefined,
      (thrown: HoldfastError) => thrown,
    );
    await bench.steps('mount', undoStepsOf('mount', 'loop'));
    const { devices } = await bench.observe();
    return `${error?.code}: ${error?.message}; left: ${devices.join(', ') || 'nothing'}`;
  }

  test('an image of another size', async () => {
    truncateSync(bench.data, 8 * MiB);
    expect(await refusal()).toMatch(
      /^Corrupt: .*8388608 bytes, the record says 16777216.*left: nothing$/,
    );
    expect((await bench.observe()).problem?.code).toBe('DataWrong');
  });

  test('a link in place of the image, even one to the image itself', async () => {
    renameSync(bench.data, `${bench.data}.moved`);
    symlinkSync(`${bench.data}.moved`, bench.data);
    expect(await refusal()).toMatch(/^Corrupt: .*symlink.*left: nothing$/);
  });

  test('another file system in place of its own', async () => {
    unlinkSync(bench.data);
    writeFileSync(bench.data, '');
    truncateSync(bench.data, 16 * MiB);
    execFileSync('mkfs.ext4', ['-q', bench.data]);
    const before = readFileSync(bench.data);
    expect(await refusal()).toMatch(
      new RegExp(`^Corrupt: .*${bench.volume.status.fsUuid}.*left: nothing$`),
    );
    expect(readFileSync(bench.data).equals(before), 'not a byte was changed').toBe(true);
  });

  test('an image with nothing recognisable on it: it is never formatted again', async () => {
    execFileSync(
      'dd',
      ['if=/dev/urandom', `of=${bench.data}`, 'bs=64k', 'count=4', 'conv=notrunc'],
      {
        stdio: 'ignore',
      },
    );
    const before = readFileSync(bench.data);
    expect(await refusal()).toMatch(
      /^Corrupt: .*no file system that is recognised.*left: nothing$/,
    );
    expect(readFileSync(bench.data).equals(before)).toBe(true);
  });

  test('an image that was replaced while its device serves the old one', async () => {
    await bench.operate('attach', { attachmentsAfter: 1 });
    const copy = readFileSync(bench.data);
    unlinkSync(bench.data);
    writeFileSync(bench.data, copy);
    await expect(bench.operate('mount')).rejects.toMatchObject({ code: 'Conflict' });
  });

  test('a mount point that something else is mounted on, and leaves that alone', async () => {
    mkdirSync(bench.target, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'foreign', bench.target]);
    writeFileSync(path.join(bench.target, 'theirs'), '');
    expect((await bench.observe()).problem?.code).toBe('MountPointTaken');
    expect(await refusal()).toMatch(/^Conflict: .*foreign \(tmpfs\).*left: nothing$/);
    await expect(bench.operate('unmount')).rejects.toMatchObject({ code: 'Conflict' });
    expect(existsSync(path.join(bench.target, 'theirs')), 'still mounted').toBe(true);
  });

  test('a mount point that holds files which the mount would hide', async () => {
    mkdirSync(bench.target, { recursive: true });
    writeFileSync(path.join(bench.target, 'hidden'), 'x');
    expect(await refusal()).toMatch(
      /^Conflict: .*1 entries that the mount would hide.*left: nothing$/,
    );
    expect(readFileSync(path.join(bench.target, 'hidden'), 'utf8')).toBe('x');
  });

  test('a link in place of its mount point', async () => {
    const elsewhere = path.join(bench.folder, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(path.dirname(bench.target), { recursive: true });
    symlinkSync(elsewhere, bench.target);
    await expect(bench.operate('mount')).rejects.toMatchObject({ code: 'Conflict' });
    const mounts = await bench.hostOps.mounts();
    expect(mounts.filter(({ mountPoint }) => mountPoint === elsewhere)).toEqual([]);
  });

  test('to let its device go while somebody has it open', async () => {
    await bench.operate('attach', { attachmentsAfter: 1 });
    const [device] = (await bench.observe()).devices;
    const holder = spawn('sh', ['-c', 'exec 3<"$0"; echo open; exec sleep 60', device!], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    await expect(bench.operate('detach', { attached: true })).rejects.toMatchObject({
      code: 'Conflict',
    });
    expect((await bench.observe()).devices).toEqual([device]);
    holder.kill();
    await once(holder, 'close');
    await bench.operate('detach', { attached: true });
    expect((await bench.observe()).devices).toEqual([]);
  });

  test('to unmount while a file is open, and says that somebody holds it', async () => {
    await bench.operate('mount');
    const holder = spawn('sh', ['-c', 'cd "$0"; echo there; exec sleep 60', bench.target], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    await expect(bench.operate('unmount', { attached: true })).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringMatching(/1 process below/) as string,
    });
    expect((await bench.observe()).mountPoint).toBe(bench.target);
    holder.kill();
    await once(holder, 'close');
  });

  test("to let go of a device that is another's by now: numbers are given out again", async () => {
    await bench.operate('attach', { attachmentsAfter: 1 });
    const loops = await bench.hostOps.loops();
    const ours = loops.find(({ backingFile }) => backingFile === bench.data)!;
    const another = path.join(bench.folder, 'another.img');
    writeFileSync(another, '');
    truncateSync(another, 16 * MiB);
    const device = await bench.hostOps.attachLoop(another);
    // As a look at the devices tells it that is a moment old.
    await bench.hostOps.detachLoop({ ...ours, path: device });
    expect(attachedFiles()).toContainEqual({ device, file: another });
    await bench.hostOps.detachLoop(ours);
    await bench.hostOps.detachLoop(ours);
    expect((await bench.observe()).devices).toEqual([]);
  });

  test('to lose its image while a device serves it', async () => {
    await bench.operate('attach', { attachmentsAfter: 1 });
    await expect(bench.steps('remove', ['unlink-image'])).rejects.toMatchObject({
      code: 'Conflict',
    });
    expect(existsSync(bench.data)).toBe(true);
  });
});

describe.runIf(isRoot)('an image under another path (needs root: loop devices and mounts)', () => {
  let bench: DriverBench;
  const at = (...names: string[]): string => path.join(bench.folder, ...names);
  beforeEach(() => {
    bench = new DriverBench(EXT4);
  });
  afterEach(() => bench.clean());

  /** As losetup(8) tells it: device and path, one for each device over any file of this name. */
  const devices = () => attachedFiles().filter(({ file }) => file.endsWith(`/${bench.id}.img`));

  async function attachThroughBindMount(): Promise<string> {
    await bench.operate('create');
    mkdirSync(at('alias'));
    execFileSync('mount', ['--bind', bench.service.path, at('alias')]);
    const device = await bench.hostOps.attachLoop(at('alias', path.basename(bench.data)));
    expect(devices()).toEqual([{ device, file: at('alias', path.basename(bench.data)) }]);
    return device;
  }

  test('attached by hand through a bind mount: that device is used, no second one is made', async () => {
    const device = await attachThroughBindMount();
    await bench.operate('mount', { attached: true });
    expect(devices()).toHaveLength(1);
    expect(await bench.observe()).toMatchObject({
      devices: [device],
      mountPoint: bench.target,
      otherMounts: [],
    });
    await bench.operate('unmount', { attached: true });
    expect(devices()).toEqual([]);
  });

  test('mounted by hand through a bind mount: it is seen, and nothing is removed', async () => {
    const device = await attachThroughBindMount();
    mkdirSync(at('hand'));
    execFileSync('mount', [device, at('hand')]);
    expect(await bench.observe()).toMatchObject({
      devices: [device],
      otherMounts: [at('hand')],
    });
    const conflict = { code: 'Conflict' };
    await expect(bench.operate('remove', { attached: true })).rejects.toMatchObject(conflict);
    await expect(bench.steps('remove', ['unlink-image'])).rejects.toMatchObject(conflict);
    await expect(bench.steps('create', ['allocate-image'], true)).rejects.toMatchObject(conflict);
    expect(existsSync(bench.data)).toBe(true);
  });

  test('attached twice by hand: it is not mounted', async () => {
    await attachThroughBindMount();
    await bench.hostOps.attachLoop(bench.data);
    await expect(bench.operate('mount', { attached: true })).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringContaining('2 loop devices') as string,
    });
    expect((await bench.observe()).mountPoint).toBeUndefined();
    expect(devices()).toHaveLength(2);
  });

  test('attached before its file system was lazily unmounted and mounted again: no second device', async () => {
    mkdirSync(bench.service.path);
    writeFileSync(at('disk'), '');
    truncateSync(at('disk'), 64 * MiB);
    execFileSync('mkfs.ext4', ['-q', at('disk')]);
    const disk = await bench.hostOps.attachLoop(at('disk'));
    execFileSync('mount', [disk, bench.service.path]);
    await bench.operate('create');
    await bench.operate('attach', { attachmentsAfter: 1 });
    const before = await bench.observe();
    execFileSync('umount', ['--lazy', bench.service.path]);
    execFileSync('mount', [disk, bench.service.path]);
    expect(devices()).toMatchObject([{ file: `/${bench.id}.img` }]);
    expect(await bench.observe()).toEqual(before);
    await bench.operate('mount', { attached: true });
    expect(devices()).toMatchObject([{ device: before.devices[0] }]);
    await bench.operate('unmount', { attached: true });
    expect(devices()).toEqual([]);
  });

  test('another file at the path of one that is attached: that device is not taken for its own', async () => {
    await bench.operate('create');
    await bench.operate('attach', { attachmentsAfter: 1 });
    mkdirSync(at('copies'));
    copyFileSync(bench.data, at('copies', path.basename(bench.data)));
    execFileSync('mount', ['--bind', at('copies'), bench.service.path]);
    await expect(bench.operate('mount', { attached: true })).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringContaining('was replaced') as string,
    });
    expect(devices()).toHaveLength(1);
  });
});

describe.runIf(isRoot)('where links lead (needs root: loop devices and mounts)', () => {
  test('a service and a mount root behind links work as any other', async () => {
    const bench = new DriverBench(EXT4);
    const real = path.join(bench.folder, 'real');
    mkdirSync(path.join(real, 's'), { recursive: true });
    mkdirSync(path.join(real, 'mounts'));
    symlinkSync(path.join(real, 's'), bench.service.path);
    symlinkSync(path.join(real, 'mounts'), bench.mountRoot);
    try {
      await bench.operate('create');
      await bench.operate('mount');
      const { devices, mountPoint } = await bench.observe();
      expect(devices).toHaveLength(1);
      expect(mountPoint).toBe(path.join(real, 'mounts', bench.id, 'data'));
      await bench.operate('unmount', { attached: true });
      await bench.operate('remove');
      expect((await bench.observe()).present).toBe(false);
    } finally {
      await bench.clean();
    }
  });
});

describe.runIf(isRoot)('a directory that is mounted elsewhere (needs root: mounts)', () => {
  test('is not removed, nor what is mounted in it', async () => {
    const bench = new DriverBench(DIR);
    await bench.operate('create');
    writeFileSync(path.join(bench.data, 'file'), 'x');
    const elsewhere = path.join(bench.folder, 'elsewhere');
    mkdirSync(elsewhere);
    execFileSync('mount', ['--bind', bench.data, elsewhere]);
    try {
      expect((await bench.observe()).otherMounts).toEqual([elsewhere]);
      await expect(bench.operate('remove')).rejects.toMatchObject({ code: 'Conflict' });
      await bench.hostOps.unmount(elsewhere);
      const inside = path.join(bench.data, 'inside');
      mkdirSync(inside);
      execFileSync('mount', ['--bind', elsewhere, inside]);
      await expect(bench.operate('remove')).rejects.toMatchObject({ code: 'Conflict' });
      expect(readFileSync(path.join(bench.data, 'file'), 'utf8')).toBe('x');
    } finally {
      await bench.clean();
    }
  });
});
