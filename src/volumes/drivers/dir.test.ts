/** Goal: every mount that a removal could reach into is found, whichever mount namespace it is in, and no other. */
import { describe, expect, test } from 'vitest';
import { parseMountinfo, type MountEntry } from '../../devices/index.ts';
import { mountsOf } from './dir.ts';

/** `<device> <root> <mount point>`, as mountinfo has them. */
const mounts = (...lines: string[]): MountEntry[] =>
  parseMountinfo(
    lines
      .map((line, index) => {
        const [device, root, mountPoint] = line.split(' ');
        return `${index + 1} 0 ${device} ${root} ${mountPoint} rw - ext4 /dev/x rw`;
      })
      .join('\n'),
  );

const OWN = mounts('8:1 / /', '8:2 / /srv', '8:2 /other /mnt/other');
const VOLUME = '/srv/v/x';

describe('mountsOf', () => {
  test('none of those that only lie around it', () => {
    expect(mountsOf(VOLUME, OWN)).toEqual([]);
    const near = mounts(
      '8:2 / /srv',
      '8:2 /v/x2 /a',
      '8:3 / /srv/v/x2',
      '8:3 /v/x /b',
      '8:2 /v /c',
    );
    expect(mountsOf(VOLUME, near)).toEqual([]);
  });

  test('what is mounted on it, or in it', () => {
    const inside = mounts('8:2 / /srv', '8:3 / /srv/v/x/deep', '8:4 / /srv/v/x');
    expect(mountsOf(VOLUME, inside)).toEqual(['/srv/v/x/deep', '/srv/v/x']);
  });

  test('bind mounts of it, and of something in it, elsewhere', () => {
    const binds = [...OWN, ...mounts('8:2 /v/x /a', '8:2 /v/x/deep /b')];
    expect(mountsOf(VOLUME, binds)).toEqual(['/a', '/b']);
  });

  test('also when the service is reached through a bind mount itself', () => {
    const through = mounts('8:1 / /', '8:2 /pool/one /srv', '8:2 /pool/one/v/x /a', '8:2 /v/x /b');
    expect(mountsOf(VOLUME, through)).toEqual(['/a']);
  });

  test("another namespace's own idea of our path says nothing about where ours lies", () => {
    // A container: another file system at /, another one at /srv, and our volume bound to /data.
    const container = mounts('0:50 / /', '0:51 / /srv', '8:2 /v/x /data');
    expect(mountsOf(VOLUME, OWN, [...OWN, ...container])).toEqual(['/data']);
  });

  test('the upper of two mounts at one place is the one that counts', () => {
    const stacked = mounts('8:1 / /', '8:2 / /srv', '8:3 / /srv', '8:3 /v/x /a', '8:2 /v/x /b');
    expect(mountsOf(VOLUME, stacked)).toEqual(['/a']);
  });
});
