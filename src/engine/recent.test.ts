/** Goal: what is found among the records written last is the last one of its key, and memory stays bounded. */
import { expect, test } from 'vitest';
import { RECENT_BYTES_MAX } from './limits.ts';
import { RecentRecords } from './recent.ts';

const record = (text: string, length = text.length): Buffer => Buffer.alloc(length, text);

test('the last record of a key, until it is deleted or all is forgotten', () => {
  const recent = new RecentRecords();
  expect(recent.get('a')).toBeUndefined();
  recent.committed('a', record('one'));
  recent.committed('b', record(''));
  recent.committed('a', record('two'));
  expect(recent.get('a')).toEqual(record('two'));
  expect(recent.get('b')).toEqual(record(''));
  recent.committed('a', undefined);
  expect(recent.get('a')).toBeUndefined();
  recent.clear();
  expect(recent.get('b')).toBeUndefined();
});

test('what was written long ago is forgotten, and what was handed out stays as it was', () => {
  const recent = new RecentRecords();
  recent.committed('first', record('first'));
  const first = recent.get('first')!;
  const large = RECENT_BYTES_MAX / 128;
  let count = 0;
  for (; recent.get('first'); count += 1) recent.committed(`key ${count}`, record('x', large));
  // At least one generation, at most both.
  expect(count * large).toBeGreaterThanOrEqual(RECENT_BYTES_MAX / 2 - large);
  expect(count * large).toBeLessThanOrEqual(RECENT_BYTES_MAX);
  for (let i = 0; i < 200; i += 1) recent.committed(`more ${i}`, record('y', large));
  expect(first).toEqual(record('first'));
});

test('an older record never comes back: not for one deleted, nor for one that became too large', () => {
  const recent = new RecentRecords();
  const large = RECENT_BYTES_MAX / 128;
  const toTheNextGeneration = (): void => {
    for (let i = 0; i * large < RECENT_BYTES_MAX / 2; i += 1) {
      recent.committed(`fill ${i}`, record('x', large));
    }
  };
  recent.committed('deleted', record('old'));
  recent.committed('grown', record('old'));
  toTheNextGeneration();
  expect(recent.get('grown')).toEqual(record('old'));
  recent.committed('deleted', undefined);
  recent.committed('grown', record('new', RECENT_BYTES_MAX));
  expect(recent.get('deleted')).toBeUndefined();
  expect(recent.get('grown')).toBeUndefined();
});
