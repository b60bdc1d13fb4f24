import { MiB } from './bytes.ts';
import { HoldfastError } from './errors.ts';

/** Longest line: the largest value (1 MiB) as base64 with its key, and as much again. */
const LINE_CHARS_MAX = 4 * MiB;

/** Text in chunks as lines without their `\n`; only that ends one (readline also takes U+2028 for an end). @throws TooLarge */
export async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
    if (rest.length > LINE_CHARS_MAX) {
      throw new HoldfastError('TooLarge', `a line has more than ${LINE_CHARS_MAX} characters`);
    }
  }
  if (rest !== '') yield rest;
}
