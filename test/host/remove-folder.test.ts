/**
 * Goal: what removes state folders never deletes through a mount, and stops while something is in use.
 * Method: the scripts themselves on real loop devices and mounts; the kernel says what is left.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Child } from '../support/child.ts';
import { leftIn } from '../support/leaks.ts';
import { tempDir } from '../support/temp-dir.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SCRIPT = path.join(ROOT, 'scripts/remove-folder.cjs');
const isRoot = process.getuid?.() === 0;

function run(command: string, ...args: string[]): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

function remove(...args: string[]): { code: number | null; output: string } {
  return run(process.execPath, SCRIPT, ...args);
}

describe('remove-folder.cjs', () => {
  let base: string;
  let folder: string;
  beforeEach(() => {
    base = tempDir('remove');
    folder = path.join(base, 'state');
    mkdirSync(folder);
  });
  // In any case: the folder above can only go when nothing is mounted there.
  afterEach(() => remove('--lazy', base));

  function makeFolder(...names: string[]): string {
    const made = path.join(...names);
    mkdirSync(made, { recursive: true });
    return made;
  }

  /** An ext4 image in the folder, mounted with one file in it. */
  function mountImage(mountPoint: string): void {
    const image = path.join(folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, 16 * 1024 * 1024);
    execFileSync('mkfs.ext4', ['-q', image]);
    execFileSync('mount', ['-o', 'loop', image, mountPoint]);
    // mount(8) sets autoclear, Holdfast doesn't: the device must be found and detached by itself.
    const [device] = execFileSync('losetup', ['-n', '-O', 'NAME', '-j', image], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
    execFileSync('python3', ['-c', CLEAR_AUTOCLEAR, device!]);
    writeFileSync(path.join(mountPoint, 'file'), 'x');
  }

  it('deletes a folder with all in it, and is fine with one that is gone', () => {
    writeFileSync(path.join(folder, 'file'), 'x');
    expect(remove(folder)).toEqual({ code: 0, output: `removed ${folder}\n` });
    expect(remove(folder)).toEqual({ code: 0, output: '' });
  });

  it.each([[[]], [['']], [['relative']], [['/']], [['--lazy']], [['/proc/../']]])(
    'refuses %j',
    (args) => {
      const { code, output } = remove(...args);
      expect(code).toBe(1);
      expect(output).toMatch(/usage|refusing/);
    },
  );

  describe.runIf(isRoot)('with mounts (needs root)', () => {
    it.each(['plain', 'with blank', 'tab\there', 'back\\slash', 'ünïcode', "quo'te", 'line\nend'])(
      'unmounts, detaches, deletes: %j',
      (name) => {
        const mountPoint = makeFolder(folder, name, 'data');
        mountImage(mountPoint);
        const { code, output } = remove(folder);
        expect([code, output.includes(`unmounted ${mountPoint}\n`)]).toEqual([0, true]);
        expect(output).toMatch(/^detached \/dev\/loop\d+ /m);
        expect([existsSync(folder), leftIn(folder)]).toEqual([false, []]);
      },
    );

    it('leaves alone what was only mounted there', () => {
      const outside = makeFolder(base, 'outside');
      writeFileSync(path.join(outside, 'precious'), 'x');
      const inside = makeFolder(folder, 'a/b');
      // Twice at one place, and one mount in another.
      execFileSync('mount', ['--bind', outside, inside]);
      execFileSync('mount', ['--bind', outside, inside]);
      execFileSync('mount', ['--bind', outside, makeFolder(inside, 'deeper')]);
      expect(remove(folder).code).toBe(0);
      expect(existsSync(folder)).toBe(false);
      expect(readdirSync(outside).toSorted()).toEqual(['deeper', 'precious']);
    });

    it('follows no link, neither as its argument’s name nor in the folder', () => {
      const outside = makeFolder(base, 'outside');
      writeFileSync(path.join(outside, 'precious'), 'x');
      symlinkSync(outside, path.join(folder, 'link'));
      const mountPoint = makeFolder(folder, 'data');
      mountImage(mountPoint);
      symlinkSync(folder, path.join(base, 'alias'));
      expect(remove(path.join(base, 'alias')).code).toBe(0);
      expect([existsSync(folder), readdirSync(outside)]).toEqual([false, ['precious']]);
    });

    it('deletes nothing while a mount is in use, and all with --lazy', async () => {
      const mountPoint = makeFolder(folder, 'data');
      mountImage(mountPoint);
      const user = await Child.start('sleep', ['600'], { cwd: mountPoint });
      onTestFinished(async () => void (await user.kill()));
      const { code, output } = remove(folder);
      expect(code).toBe(1);
      expect(output).toMatch(/busy.*; nothing was deleted\n$/s);
      expect(existsSync(path.join(mountPoint, 'file'))).toBe(true);
      expect(remove('--lazy', folder).code).toBe(0);
      expect(existsSync(folder)).toBe(false);
    });

    it('deletes no image that a container has mounted, which our list of mounts doesn’t show', async () => {
      const mountPoint = makeFolder(folder, 'data');
      mountImage(mountPoint);
      const args = [
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-c',
        'echo mounted; exec sleep 600',
      ];
      const container = await Child.start('unshare', args);
      onTestFinished(async () => void (await container.kill()));
      await container.waitUntil('it has its mounts', () => container.output.includes('mounted'));
      const { code, output } = remove(folder);
      expect(code).toBe(1);
      expect(output).toMatch(/loop\d+ .* is still in use, .*; nothing was deleted\n$/);
      expect(existsSync(path.join(folder, 'image'))).toBe(true);
      await container.kill();
      expect(remove(folder).code).toBe(0);
      expect([existsSync(folder), leftIn(folder)]).toEqual([false, []]);
    });

    it('detaches a device whose image was deleted under it', () => {
      mountImage(makeFolder(folder, 'data'));
      execFileSync('rm', [path.join(folder, 'image')]);
      expect(remove(folder).code).toBe(0);
      expect([existsSync(folder), leftIn(folder)]).toEqual([false, []]);
    });
  });
});

/** LOOP_GET_STATUS64, take LO_FLAGS_AUTOCLEAR out of lo_flags, LOOP_SET_STATUS64 (linux/loop.h). */
const CLEAR_AUTOCLEAR = `
import fcntl, struct, sys
with open(sys.argv[1]) as device:
    info = bytearray(232)
    fcntl.ioctl(device, 0x4C05, info)
    flags, = struct.unpack_from('=I', info, 52)
    struct.pack_into('=I', info, 52, flags & ~4)
    fcntl.ioctl(device, 0x4C04, bytes(info))
`;

describe('dev-state-folder and remove-dev-state', () => {
  const folderScript = path.join(ROOT, 'scripts/dev-state-folder');
  const removeScript = path.join(ROOT, 'scripts/remove-dev-state');

  function withState(home: string, script: string): { code: number | null; output: string } {
    return run('env', `XDG_STATE_HOME=${home}`, script);
  }

  it('is outside of the checkout, or else an error, through links too', () => {
    const home = tempDir('xdg');
    expect(withState(home, folderScript)).toEqual({ code: 0, output: `${home}/holdfast-dev\n` });
    symlinkSync(ROOT, path.join(home, 'link'));
    for (const inside of [
      ROOT,
      `${ROOT}/not/there`,
      `${home}/link/x`,
      `${home}/${path.relative(home, ROOT)}`,
    ]) {
      const { code, output } = withState(inside, folderScript);
      expect([inside, code]).toEqual([inside, 1]);
      expect(output).toContain('set XDG_STATE_HOME');
    }
  });

  it('removes what npm start made, and nothing else', async () => {
    const home = tempDir('xdg');
    const state = path.join(home, 'holdfast-dev');
    expect(withState(home, removeScript).output).toContain('nothing to remove');
    mkdirSync(state);
    expect(withState(home, removeScript)).toMatchObject({ code: 1 });
    writeFileSync(path.join(state, '.running'), '');

    const agent = await Child.start('flock', [
      '--no-fork',
      path.join(state, '.running'),
      'sleep',
      '600',
    ]);
    onTestFinished(async () => void (await agent.kill()));
    const isHeld = (): boolean =>
      run('flock', '-n', path.join(state, '.running'), 'true').code !== 0;
    await agent.waitUntil('the lock is held', isHeld);
    const refused = withState(home, removeScript);
    expect([refused.code, existsSync(state)]).toEqual([1, true]);
    expect(refused.output).toContain('nothing was deleted');
  });

  it('removes it when the agent has ended', () => {
    const home = tempDir('xdg');
    const state = path.join(home, 'holdfast-dev');
    mkdirSync(state);
    writeFileSync(path.join(state, '.running'), '');
    expect(withState(home, removeScript)).toEqual({ code: 0, output: `removed ${state}\n` });
    expect(existsSync(state)).toBe(false);
  });
});
