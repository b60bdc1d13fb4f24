/** Goal: what can't be read is an error, never a free loop device or a namespace without mounts. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLoops, readMountsEverywhere } from './kernel-view.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-kernel-view-'));
});
afterEach(() => rm(root, { recursive: true }));

describe('readLoops', () => {
  it('takes a number without a file for free', async () => {
    await addLoop('loop0', '/a.img');
    await mkdir(join(root, 'loop1'));
    const asked: string[] = [];
    const loops = await readLoops(async (device) => {
      asked.push(device);
      return { dev: 1, ino: 2 };
    }, root);
    expect(loops).toMatchObject([{ path: '/dev/loop0', file: { dev: 1, ino: 2 } }]);
    expect(asked).toEqual(['/dev/loop0']);
  });

  it('fails rather than take an unreadable device for free', async () => {
    await mkdir(join(root, 'loop0/loop/backing_file'), { recursive: true });
    await writeFile(join(root, 'loop0/dev'), '7:0\n');
    const untold = async () => undefined;
    await expect(readLoops(untold, root)).rejects.toMatchObject({ code: 'HostFailed' });
  });

  it('keeps a device whose file is not told, and fails when asking for it does', async () => {
    await addLoop('loop0', '/a.img');
    const [loop] = await readLoops(async () => undefined, root);
    expect(loop).toMatchObject({ backingFile: '/a.img', file: undefined });
    const failing = () => Promise.reject(Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' }));
    await expect(readLoops(failing, root)).rejects.toMatchObject({ code: 'HostFailed' });
  });

  it('tells path and identity of one file when the number is given to another meanwhile', async () => {
    await addLoop('loop0', '/a.img');
    let ino = 1;
    const [loop] = await readLoops(async () => {
      const told = { dev: 1, ino };
      ino = 2;
      await addLoop('loop0', '/b.img');
      return told;
    }, root);
    expect(loop).toMatchObject({ backingFile: '/b.img', file: { dev: 1, ino: 2 } });
  });
});

describe('readMountsEverywhere', () => {
  it('leaves out a process that ended', async () => {
    await addProcess(String(process.pid));
    await mkdir(join(root, '999999999'));
    const mounts = await readMountsEverywhere(root);
    expect(mounts.map(({ mountPoint }) => mountPoint)).toEqual(['/mnt']);
  });

  it('fails rather than take an unreadable mount table for an empty one', async () => {
    await addProcess(String(process.pid));
    await mkdir(join(root, '999999999/ns'), { recursive: true });
    await symlink('mnt:[2]', join(root, '999999999/ns/mnt'));
    await mkdir(join(root, '999999999/mountinfo'));
    await expect(readMountsEverywhere(root)).rejects.toMatchObject({ code: 'HostFailed' });
  });
});

async function addLoop(name: string, backingFile: string): Promise<void> {
  await mkdir(join(root, name, 'loop'), { recursive: true });
  await writeFile(join(root, name, 'loop/backing_file'), `${backingFile}\n`);
  await writeFile(join(root, name, 'dev'), '7:0\n');
}

async function addProcess(pid: string): Promise<void> {
  await mkdir(join(root, pid, 'ns'), { recursive: true });
  await symlink('mnt:[1]', join(root, pid, 'ns/mnt'));
  const line = '30 1 7:0 / /mnt rw - ext4 /dev/loop0 rw\n';
  await writeFile(join(root, pid, 'mountinfo'), line);
}
