/** Goal: whatever the chunks are, the lines are those of the whole text; one that never ends is refused. */
import { describe, expect, it } from 'vitest';
import { linesOf } from './lines.ts';

async function* chunksOf(...chunks: string[]): AsyncGenerator<string> {
  yield* chunks;
}

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const got: string[] = [];
  for await (const line of lines) got.push(line);
  return got;
}

describe('linesOf', () => {
  it.each([
    [[], []],
    [['a\nb\n'], ['a', 'b']],
    [
      ['a', 'b', '\n', 'c'],
      ['ab', 'c'],
    ],
    [
      ['a\n\nb', 'c\nd\ne', 'f\n'],
      ['a', '', 'bc', 'd', 'ef'],
    ],
    [
      ['a\u2028b\r\n', '\n'],
      ['a\u2028b\r', ''],
    ],
  ])('%j', async (chunks, lines) => {
    expect(await all(linesOf(chunksOf(...chunks)))).toEqual(lines);
  });

  it('bounds a line, not the text', async () => {
    expect(await all(linesOf(chunksOf('abc\n', 'de', 'f\nabc'), 3))).toEqual(['abc', 'def', 'abc']);
    await expect(all(linesOf(chunksOf('ab', 'cd'), 3))).rejects.toMatchObject({ code: 'TooLarge' });
  });
});
