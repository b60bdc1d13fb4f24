/**
 * Goal: mount and umount do what was asked or say in Node's own error shape why not.
 * Method: real ext4 on a loop device, binds and tmpfs in a temp folder; the witness is mountinfo.
 */
import { closeSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopAttach, mount, umount } from './index.ts';
import { isRoot, MIB, mountLine, run, Scratch } from './scratch.ts';

describe.runIf(isRoot)('mount and umount (need root)', () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch[Symbol.dispose]());

  async function ext4(): Promise<string> {
    const { path } = await loopAttach({ backingFile: scratch.image('image', 16 * MIB) });
    run('mkfs.ext4', ['-q', path]);
    return path;
  }

  it('mounts a file system with flags and data, and unmounts it', async () => {
    const source = await ext4();
    const target = scratch.folder('mnt');
    await mount({
      source,
      target,
      type: 'ext4',
      flags: ['noatime', 'nosuid'],
      data: 'errors=remount-ro',
    });
    expect(mountLine(target)).toMatch(/rw,nosuid,noatime - ext4 .*errors=remount-ro/);
    writeFileSync(`${target}/file`, 'x');
    await umount(target);
    expect(mountLine(target)).toBeUndefined();
  });

  it('says EBUSY while a file is open, and lets go lazily when asked', async () => {
    const target = scratch.folder('mnt');
    await mount({ source: await ext4(), target, type: 'ext4' });
    const fd = openSync(`${target}/file`, 'w');
    try {
      await expect(umount(target)).rejects.toMatchObject({
        name: 'Error',
        message: `EBUSY: device or resource busy, umount '${target}'`,
        code: 'EBUSY',
        errno: -16,
        syscall: 'umount',
        path: target,
      });
      expect(mountLine(target)).toBeDefined();
      await umount(target, { lazy: true });
      expect(mountLine(target)).toBeUndefined();
    } finally {
      closeSync(fd);
    }
  });

  it('carries both paths in mount errors', async () => {
    const target = scratch.folder('mnt');
    const source = `${scratch.dir}/none`;
    await expect(mount({ source, target, type: 'ext4' })).rejects.toMatchObject({
      message: `ENOENT: no such file or directory, mount '${source}' -> '${target}'`,
      path: source,
      dest: target,
    });
    const device = await ext4();
    await expect(mount({ source: device, target, type: 'ext99' })).rejects.toMatchObject({
      code: 'ENODEV',
    });
    await expect(mount({ source: device, target, type: 'xfs' })).rejects.toMatchObject({
      errno: expect.any(Number),
    });
    await expect(umount(target)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(mountLine(target)).toBeUndefined();
  });

  it('binds read-only in one step, and a plain bind stays writable', async () => {
    const from = scratch.folder('from');
    const readOnly = scratch.folder('ro');
    const writable = scratch.folder('rw');
    await mount({ source: from, target: readOnly, flags: ['bind', 'rdonly', 'noexec', 'noatime'] });
    await mount({ source: from, target: writable, flags: ['bind'] });
    expect(mountLine(readOnly)?.split(' ')[5]).toBe('ro,noexec,noatime');
    expect(() => writeFileSync(`${readOnly}/file`, 'x')).toThrow('EROFS');
    writeFileSync(`${writable}/file`, 'x');
    await mount({ source: 'none', target: readOnly, flags: ['remount', 'bind', 'noexec'] });
    writeFileSync(`${readOnly}/file`, 'y');
  });

  it('leaves no mount behind when a bind fails half-way', async () => {
    const source = scratch.folder('from');
    const target = `${scratch.dir}/none`;
    await expect(mount({ source, target, flags: ['bind', 'rdonly'] })).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'move_mount',
      dest: target,
    });
  });

  it('does not follow a symlink when it unmounts', async () => {
    const target = scratch.folder('mnt');
    await mount({ source: 'tmpfs', target, type: 'tmpfs' });
    const link = `${scratch.dir}/link`;
    symlinkSync(target, link);
    await expect(umount(link)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(mountLine(target)).toBeDefined();
    await umount(target);
  });
});
