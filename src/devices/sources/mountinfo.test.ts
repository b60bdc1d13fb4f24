/** Goal: every mount the kernel lists is understood exactly, whatever bytes its paths are made of. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMountinfo } from './mountinfo.ts';

/** What the kernel does to a path (fs/proc_namespace.c, mangle): blank, tab, newline, backslash and # in octal. */
function mangle(text: string): string {
  return text.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

describe('parseMountinfo', () => {
  it('reads every field, optional ones included (the example of proc(5))', () => {
    const line =
      '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n';
    expect(parseMountinfo(line)).toEqual([
      {
        mountId: 36,
        parentId: 35,
        major: 98,
        minor: 0,
        root: '/mnt1',
        mountPoint: '/mnt2',
        options: ['rw', 'noatime'],
        optionalFields: ['master:1', 'propagate_from:2'],
        fsType: 'ext3',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
    ]);
  });

  it('undoes octal escapes, and only those', () => {
    const [entry] = parseMountinfo(
      '1 2 8:1 / /a\\040b\\011c\\012d\\134e\\043f\\9 rw - ext4 /dev/sda1 rw\n',
    );
    expect(entry!.mountPoint).toBe('/a b\tc\nd\\e#f\\9');
  });

  it('does not take a dash in a path, or an escaped one, for the separator', () => {
    const [entry] = parseMountinfo('1 2 8:1 / /mnt/- rw shared:1 - ext4 - rw\n');
    expect(entry).toMatchObject({ mountPoint: '/mnt/-', fsType: 'ext4', source: '-' });
  });

  it('reads UTF-8, and keeps the bytes of what is not', () => {
    const head = Buffer.from('1 2 8:1 / /caf');
    const tail = Buffer.from(' rw - ext4 /dev/sda1 rw\n');
    const utf8 = Buffer.concat([head, Buffer.from('é'), tail]);
    const latin1 = Buffer.concat([head, Buffer.from([0xe9]), tail]);
    expect(parseMountinfo(utf8)[0]!.mountPoint).toBe('/café');
    expect(parseMountinfo(latin1)[0]!.mountPoint).toBe('/caf\\xe9');
  });

  it.each([
    ['an empty source', '1 2 0:5 / /run rw - tmpfs  rw', { source: '', superOptions: ['rw'] }],
    ['no super options', '1 2 0:5 / /run rw - tmpfs none', { source: 'none', superOptions: [] }],
  ])('takes %s', (_, line, expected) => expect(parseMountinfo(line)[0]).toMatchObject(expected));

  it.each([
    '',
    '\n',
    '1 2 8:1',
    '1 2 8:1 / /mnt rw shared:1',
    'x 2 8:1 / /m rw - ext4 s rw',
    '1 2 8-1 / /m rw - ext4 s rw',
  ])('leaves out %j', (line) => expect(parseMountinfo(line)).toEqual([]));

  it('gives back any path that the kernel wrote down', () => {
    const path = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .map((name) => `/${name}`);
    expect(() =>
      fc.assert(
        fc.property(path, path, (mountPoint, source) => {
          const line = `1 2 8:1 / ${mangle(mountPoint)} rw - ext4 ${mangle(source)} rw\n`;
          const [entry, ...more] = parseMountinfo(line);
          return more.length === 0 && entry?.mountPoint === mountPoint && entry.source === source;
        }),
      ),
    ).not.toThrow();
  });

  it('never throws, whatever the bytes', () => {
    expect(() =>
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) =>
          Array.isArray(parseMountinfo(bytes)),
        ),
      ),
    ).not.toThrow();
  });
});
