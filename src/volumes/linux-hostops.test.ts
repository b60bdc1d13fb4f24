/** Goal: acts on the host follow no links, overwrite nothing, delete nothing that is not theirs, and may be done again. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { LinuxHostOps } from './linux-hostops.ts';

const MIB = 1024 * 1024;
const never = (): AbortSignal => new AbortController().signal;

describe('LinuxHostOps', () => {
  const host = new LinuxHostOps();
  let folder: string;
  const at = (...names: string[]): string => path.join(folder, ...names);
  beforeEach(() => {
    folder = tempDir('hostops');
  });

  test('directories: made with their parents, private, once or twice', async () => {
    await host.ensureDirectory(at('a/b/c'), 0o700);
    await host.ensureDirectory(at('a/b/c/'), 0o700);
    expect(statSync(at('a/b')).mode & 0o777).toBe(0o700);
    await host.makeDirectory(at('a/d'), 0o755);
    await host.makeDirectory(at('a/d'), 0o755);
  });

  test.each(['file', 'link'])('a %s in place of a directory is left alone', async (kind) => {
    if (kind === 'file') writeFileSync(at('x'), 'theirs');
    else symlinkSync('/tmp', at('x'));
    await expect(host.makeDirectory(at('x'), 0o700)).rejects.toMatchObject({ code: 'Conflict' });
    expect(lstatSync(at('x')).isDirectory()).toBe(false);
  });

  test('only an empty directory is removed; one that is gone is fine', async () => {
    mkdirSync(at('full'));
    writeFileSync(at('full/file'), 'x');
    await expect(host.removeDirectory(at('full'))).rejects.toMatchObject({ code: 'Conflict' });
    await host.removeDirectory(at('gone'));
    await host.unlink(at('gone'));
    await host.rename(at('gone'), at('elsewhere'));
    await host.deleteTree(at('gone'), never());
    expect(await host.readDirectory(at('gone'))).toBeUndefined();
    expect(await host.inspect(at('gone'))).toBeUndefined();
  });

  test('a tree is deleted without following the links in it', async () => {
    mkdirSync(at('tree/deep'), { recursive: true });
    mkdirSync(at('outside'));
    writeFileSync(at('outside/file'), 'kept');
    symlinkSync(at('outside'), at('tree/deep/link'));
    writeFileSync(at('tree/-rf'), '');
    await host.deleteTree(at('tree'), never());
    expect(existsSync(at('tree'))).toBe(false);
    expect(readFileSync(at('outside/file'), 'utf8')).toBe('kept');
  });

  test('an image is new, of the exact size, and ours alone', async () => {
    const request = { path: at('i'), sizeBytes: 8 * MIB, preallocate: false };
    const identity = await host.createImage(request, never());
    expect(await host.inspect(at('i'))).toMatchObject({
      kind: 'file',
      sizeBytes: 8 * MIB,
      ...identity,
    });
    expect(statSync(at('i')).mode & 0o777).toBe(0o600);
    await expect(host.createImage(request, never())).rejects.toMatchObject({ code: 'Conflict' });
    symlinkSync(at('elsewhere'), at('link'));
    await expect(host.createImage({ ...request, path: at('link') }, never())).rejects.toMatchObject(
      { code: 'Conflict' },
    );
    expect(existsSync(at('elsewhere'))).toBe(false);
  });

  test('a size beyond what the file system can count is NoSpace', async () => {
    const request = { path: at('i'), sizeBytes: 2 ** 52, preallocate: false };
    await expect(host.createImage(request, never())).rejects.toMatchObject({ code: 'NoSpace' });
  });

  test('only the very image that was made is formatted', async () => {
    const request = { path: at('i'), sizeBytes: 8 * MIB, preallocate: false };
    const identity = await host.createImage(request, never());
    // Moved, not deleted: its inode number must not be free for the other one.
    await host.rename(at('i'), at('ours'));
    writeFileSync(at('i'), 'x'.repeat(8 * MIB));
    const uuid = '05fff61c-0874-45e0-840a-785b1dcf93c8';
    const format = { ...request, identity, fsType: 'ext4', uuid, label: 'hf' } as const;
    await expect(host.format(format, never())).rejects.toMatchObject({ code: 'Conflict' });
    expect(readFileSync(at('i'), 'utf8').startsWith('xxx')).toBe(true);
  });

  test('formatted, it has the UUID that was asked for', async () => {
    const request = { path: at('i'), sizeBytes: 8 * MIB, preallocate: false };
    const identity = await host.createImage(request, never());
    const uuid = '05fff61c-0874-45e0-840a-785b1dcf93c8';
    expect(await host.probe(at('i'), never())).toEqual({ type: undefined, uuid: undefined });
    await host.format({ ...request, identity, fsType: 'ext4', uuid, label: 'hf' }, never());
    expect(await host.probe(at('i'), never())).toEqual({ type: 'ext4', uuid });
  });

  test('what cannot be looked at says what was tried', async () => {
    writeFileSync(at('file'), '');
    await expect(host.space(at('gone'))).rejects.toMatchObject({
      code: 'NotFound',
      message: expect.stringContaining(at('gone')) as string,
    });
    await expect(host.ensureDirectory(at('file/below'), 0o700)).rejects.toMatchObject({
      code: 'HostFailed',
    });
    expect(await host.inspect(at('file/below'))).toBeUndefined();
    expect(await host.realPath(at('gone'))).toBe(at('gone'));
  });
});
