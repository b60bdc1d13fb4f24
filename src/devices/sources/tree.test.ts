/** Goal: whatever is in a file of the kernel's, reading it ends in a fact or in none, never in a hang or a wrong value. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { decodeValue, parseCount, Tree } from './tree.ts';

function tree(files: Record<string, string>, links: Record<string, string> = {}): Tree {
  const root = tempDir('tree');
  plant(root, files, links);
  return new Tree(root);
}

describe('Tree', () => {
  it('takes an attribute that fills its page for unknown, as it may have been cut', () => {
    const there = tree({ short: 'x'.repeat(4095), long: 'x'.repeat(4096) });
    expect(there.text('short')).toHaveLength(4095);
    expect(there.text('long')).toBeUndefined();
    expect(there.head('long')).toHaveLength(4096);
  });

  it('says nothing of what is missing, a folder, dangling, circular or without a writer', () => {
    const there = tree({ 'dir/file': '' }, { dangling: 'nowhere', ring: 'ring' });
    execFileSync('mkfifo', [path.join(there.root, 'fifo')]);
    const names = ['missing', 'dir', 'dir/file', 'dangling', 'ring', 'fifo'];
    expect(names.map((name) => there.text(name))).toEqual(names.map(() => undefined));
    expect(['missing', 'dangling', 'ring'].map((name) => there.exists(name))).toEqual([
      false,
      false,
      false,
    ]);
    expect(there.list('missing')).toEqual([]);
  });

  it('follows a link one step, within the root', () => {
    const there = tree({}, { 'class/block/sda': '../../devices/x/sda', 'a/out': '../../../etc' });
    expect(there.follow('class/block/sda')).toBe('devices/x/sda');
    expect(there.follow('a/out')).toBe('etc');
    expect(there.follow('class')).toBeUndefined();
  });

  it('takes 1 and 0 for a flag, and nothing else', () => {
    const there = tree({ yes: '1\n', no: '0\n', maybe: '2\n' });
    expect(['yes', 'no', 'maybe'].map((name) => there.flag(name))).toEqual([
      true,
      false,
      undefined,
    ]);
  });
});

it.each([
  [' ZFN0 \n', 'ZFN0'],
  ['\0\0', undefined],
  ['a\tb', 'a\\x09b'],
  ['é', 'é'],
])('decodeValue(%j)', (text, expected) => expect(decodeValue(Buffer.from(text))).toBe(expected));

it('decodeValue keeps bytes that are not UTF-8 apart', () => {
  expect(decodeValue(Buffer.from([0x41, 0xff]))).toBe('A\\xff');
  expect(decodeValue(Buffer.from([0x41, 0xfe]))).toBe('A\\xfe');
});

it.each([
  ['0', 0],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['9007199254740992', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['0x10', undefined],
  ['', undefined],
  [undefined, undefined],
])('parseCount(%j) is %j', (text, count) => expect(parseCount(text)).toBe(count));
