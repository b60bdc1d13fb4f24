/** Goal: a device over the image is found under any path, and one that can't be told apart is not used. */
import { describe, expect, it } from 'vitest';
import type { LoopFacts } from '../hostops.ts';
import { devicesOver, deviceToUse } from './image-devices.ts';

const IMAGE = '/s/v.img';
const FILE = { dev: 1, ino: 2 };
const OTHER = { dev: 1, ino: 3 };
const loop = (facts: Partial<LoopFacts>): LoopFacts => ({
  path: '/dev/loop0',
  major: 7,
  minor: 0,
  backingFile: IMAGE,
  deleted: false,
  file: FILE,
  ...facts,
});

describe('devicesOver', () => {
  it.each<[string, Partial<LoopFacts>, number]>([
    ['the file by its path', {}, 1],
    ['the file by another path', { backingFile: '/alias/v.img' }, 1],
    ['another file that had the path', { file: OTHER, deleted: true }, 1],
    ['an untold file of the same name', { backingFile: '/alias/v.img', file: undefined }, 1],
    ['an untold file of another name', { backingFile: '/s/w.img', file: undefined }, 0],
    ['another file of the same name', { backingFile: '/alias/v.img', file: OTHER }, 0],
    ['the number on another file system', { backingFile: '/x', file: { dev: 9, ino: 2 } }, 0],
  ])('%s', (_, facts, count) => {
    expect(devicesOver([loop(facts)], IMAGE, FILE)).toHaveLength(count);
  });

  it('without the image, only by its path', () => {
    const loops = [loop({ deleted: true }), loop({ backingFile: '/alias/v.img' })];
    expect(devicesOver(loops, IMAGE, undefined)).toEqual([loops[0]]);
  });
});

describe('deviceToUse', () => {
  it('is the one that is there', () => {
    expect(deviceToUse([], IMAGE, FILE)).toBeUndefined();
    expect(deviceToUse([loop({})], IMAGE, FILE)).toBe('/dev/loop0');
  });

  it.each<[string, Partial<LoopFacts>[], RegExp]>([
    ['over another file', [{ file: OTHER }], /was replaced/],
    ['over a file that is not told', [{ file: undefined }], /may serve/],
    ['one of two', [{}, { path: '/dev/loop1' }], /2 loop devices.*loop0.*loop1/],
  ])('is never one %s', (_, facts, message) => {
    expect(() => deviceToUse(facts.map(loop), IMAGE, FILE)).toThrow(message);
  });
});
