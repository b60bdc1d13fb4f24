/**
 * Goal: a loop device is attached exactly as asked and is gone exactly when the promise says so.
 * Method: real devices; the witness is sysfs, never our own answer.
 */
import { closeSync, linkSync, lstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockDeviceSize, loopAttach, loopDetach, loopStatus, mount, umount } from './index.ts';
import { isRoot, loopAttribute, MIB, run, Scratch } from './scratch.ts';

describe.runIf(isRoot)('loop devices (need root)', () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch[Symbol.dispose]());

  it('attaches with direct I/O and without autoclear, and tells the size', async () => {
    const image = scratch.image('image', 8 * MIB);
    const { path, directIo } = await loopAttach({ backingFile: image });
    expect(loopAttribute(path, 'backing_file')).toBe(image);
    expect(loopAttribute(path, 'dio')).toBe('1');
    expect(directIo).toBe(true);
    expect(loopAttribute(path, 'autoclear')).toBe('0');
    expect(await blockDeviceSize(path)).toBe(8 * MIB);
    await loopDetach(path);
    expect(loopAttribute(path, 'backing_file')).toBeUndefined();
  });

  it('takes buffered I/O, read-only and the block size as asked', async () => {
    const image = scratch.image('image', 8 * MIB);
    const { path, directIo } = await loopAttach({
      backingFile: image,
      readOnly: true,
      directIo: false,
      blockSize: 4096,
    });
    expect(directIo).toBe(false);
    expect(loopAttribute(path, 'dio')).toBe('0');
    expect(run('blockdev', ['--getro', '--getss', path])).toBe('1\n4096\n');
    await loopDetach(path);
  });

  it('falls back to buffered I/O, and says so, where direct I/O is impossible', async () => {
    // A sector size of 4096 below and 512 asked above: the kernel can't pass such requests through.
    const below = await loopAttach({
      backingFile: scratch.image('below', 64 * MIB),
      blockSize: 4096,
    });
    run('mkfs.ext4', ['-q', below.path]);
    const folder = scratch.folder('mnt');
    await mount({ source: below.path, target: folder, type: 'ext4' });
    const above = await loopAttach({
      backingFile: scratch.image('mnt/image', MIB),
      blockSize: 512,
    });
    expect(above.directIo).toBe(false);
    expect(loopAttribute(above.path, 'dio')).toBe('0');
    run('dd', [
      'if=/dev/zero',
      `of=${above.path}`,
      'bs=512',
      'count=3',
      'conv=fsync',
      'status=none',
    ]);
    await loopDetach(above.path);
    await umount(folder);
    await loopDetach(below.path);
  });

  it('refuses to detach a mounted device, which stays attached', async () => {
    const { path } = await loopAttach({ backingFile: scratch.image('image', 16 * MIB) });
    run('mkfs.ext4', ['-q', path]);
    const folder = scratch.folder('mnt');
    await mount({ source: path, target: folder, type: 'ext4' });
    await expect(loopDetach(path)).rejects.toMatchObject({ code: 'EBUSY', errno: -16, path });
    expect(loopAttribute(path, 'autoclear')).toBe('0');
    await umount(folder);
    expect(loopAttribute(path, 'backing_file')).toBeDefined();
    await loopDetach(path);
  });

  it('refuses to detach a device that is merely open, which stays attached after the close', async () => {
    const { path } = await loopAttach({ backingFile: scratch.image('image', MIB) });
    const fd = openSync(path, 'r');
    try {
      await expect(loopDetach(path)).rejects.toMatchObject({ code: 'EBUSY', path });
      expect(loopAttribute(path, 'autoclear')).toBe('0');
    } finally {
      closeSync(fd);
    }
    expect(loopAttribute(path, 'backing_file')).toBeDefined();
    await loopDetach(path);
  });

  it('waits for a prober that has the device open for a moment', async () => {
    const { path } = await loopAttach({ backingFile: scratch.image('image', MIB) });
    const fd = openSync(path, 'r');
    setTimeout(() => closeSync(fd), 50);
    await loopDetach(path);
    expect(loopAttribute(path, 'backing_file')).toBeUndefined();
  });

  it('says ENXIO for a device that is not attached, every time', async () => {
    const { path } = await loopAttach({ backingFile: scratch.image('image', MIB) });
    await loopDetach(path);
    await expect(loopDetach(path)).rejects.toMatchObject({ code: 'ENXIO', syscall: 'ioctl', path });
    await expect(loopDetach(path)).rejects.toMatchObject({ code: 'ENXIO' });
  });

  it('gives 20 concurrent attaches 20 devices', async () => {
    const images = Array.from({ length: 20 }, (_, i) => scratch.image(`image${i}`, MIB));
    const devices = await Promise.all(images.map((backingFile) => loopAttach({ backingFile })));
    expect(new Set(devices.map(({ path }) => path)).size).toBe(20);
    expect(devices.map(({ path }) => loopAttribute(path, 'backing_file'))).toEqual(images);
    await Promise.all(devices.map(({ path }) => loopDetach(path)));
    expect(devices.map(({ path }) => loopAttribute(path, 'backing_file'))).toEqual(
      Array(20).fill(undefined),
    );
  });

  it.each(['ext4', 'xfs', 'tmpfs'])(
    'tells which file a device serves, as lstat does, on %s',
    async (type) => {
      const folder = scratch.folder('mnt');
      let below: string | undefined;
      if (type === 'tmpfs') await mount({ source: type, target: folder, type });
      else {
        const backingFile = scratch.image('below', 320 * MIB);
        run(`mkfs.${type}`, ['-q', backingFile]);
        below = (await loopAttach({ backingFile })).path;
        await mount({ source: below, target: folder, type });
      }
      const image = scratch.image('mnt/image', MIB);
      const { dev, ino } = lstatSync(image);
      const { path } = await loopAttach({ backingFile: image });
      expect(await loopStatus(path)).toEqual({ dev, ino });
      if (below !== undefined) {
        const { dev: belowDev, ino: belowIno } = lstatSync(`${scratch.dir}/below`);
        expect(await loopStatus(below)).toEqual({ dev: belowDev, ino: belowIno });
      }
      await loopDetach(path);
      expect(await loopStatus(path)).toBeUndefined();
    },
  );

  it('tells the same file under another path, and after its name is gone', async () => {
    const image = scratch.image('image', MIB);
    const { dev, ino } = lstatSync(image);
    linkSync(image, `${scratch.dir}/other`);
    const { path } = await loopAttach({ backingFile: `${scratch.dir}/other` });
    expect(loopAttribute(path, 'backing_file')).toBe(`${scratch.dir}/other`);
    unlinkSync(`${scratch.dir}/other`);
    expect(await loopStatus(path)).toEqual({ dev, ino });
    await loopDetach(path, { dev, ino });
    expect(loopAttribute(path, 'backing_file')).toBeUndefined();
  });

  it("leaves a device that is another's by now: numbers are given out again", async () => {
    const { dev, ino } = lstatSync(scratch.image('ours', 16 * MIB));
    const theirs = scratch.image('theirs', 16 * MIB);
    const { path } = await loopAttach({ backingFile: theirs });
    const stale = { code: 'ESTALE', syscall: 'ioctl', path };
    for (const other of [
      { dev, ino },
      { dev: dev + 1, ino: lstatSync(theirs).ino },
    ]) {
      await expect(loopDetach(path, other)).rejects.toMatchObject(stale);
    }
    run('mkfs.ext4', ['-q', path]);
    const folder = scratch.folder('mnt');
    await mount({ source: path, target: folder, type: 'ext4' });
    await expect(loopDetach(path, { dev, ino })).rejects.toMatchObject(stale);
    await expect(loopDetach(path, lstatSync(theirs))).rejects.toMatchObject({ code: 'EBUSY' });
    await umount(folder);
    expect(loopAttribute(path, 'backing_file')).toBe(theirs);
    expect(loopAttribute(path, 'autoclear')).toBe('0');
    await loopDetach(path, lstatSync(theirs));
    await expect(loopDetach(path, lstatSync(theirs))).rejects.toMatchObject({ code: 'ENXIO' });
  });

  it('refuses files that cannot be a disk, with the reason', async () => {
    const message = (size: number) => `its size of ${size} bytes is not a multiple of 512 above 0`;
    for (const size of [0, 511, 513]) {
      await expect(loopAttach({ backingFile: scratch.image('odd', size) })).rejects.toMatchObject({
        code: 'EINVAL',
        message: expect.stringContaining(message(size)),
      });
    }
    const backingFile = scratch.image('image', 512 * 3);
    await expect(loopAttach({ backingFile, blockSize: 4096 })).rejects.toThrow('multiple of 4096');
    await expect(loopAttach({ backingFile: scratch.dir })).rejects.toMatchObject({
      code: 'EISDIR',
    });
    await expect(loopAttach({ backingFile: scratch.dir, readOnly: true })).rejects.toThrow(
      'not a regular file',
    );
    await expect(loopAttach({ backingFile: '/dev/null' })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    run('mkfifo', [`${scratch.dir}/fifo`]);
    await expect(loopAttach({ backingFile: `${scratch.dir}/fifo` })).rejects.toMatchObject({
      code: 'EINVAL',
    });
    await expect(loopAttach({ backingFile: `${scratch.dir}/none` })).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'open',
    });
  });

  it('touches nothing that is no loop device', async () => {
    const image = scratch.image('image', MIB);
    for (const path of [image, '/dev/null']) {
      await expect(loopDetach(path)).rejects.toMatchObject({ code: 'ENOTBLK', path });
      await expect(loopStatus(path)).rejects.toMatchObject({ code: 'ENOTBLK', path });
      await expect(blockDeviceSize(path)).rejects.toMatchObject({ code: 'ENOTBLK', path });
    }
    await expect(loopStatus('/dev/loop-none')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(loopDetach('/dev/loop-none')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(blockDeviceSize('/dev/none')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(statSync(image).size).toBe(MIB);
  });
});
