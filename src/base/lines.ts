import { MiB } from './bytes.ts';
import { HoldfastError } from './errors.ts';

/** Longest line: the largest value (1 MiB) as base64 with its key, and as much again. */
const LINE_CHARS_MAX = 4 * MiB;

/** Text in chunks as lines without their `\n`; only that ends one (readline also takes U+2028 for an end). @throws TooLarge */
export async function* linesOf(
  chunks: AsyncIterable<string>,
  charsMax = LINE_CHARS_MAX,
): AsyncGenerator<string> {
  // In pieces: a long line is put together once, not looked through again with each chunk.
  let pieces: string[] = [];
  let chars = 0;
  for await (const chunk of chunks) {
    const [first = '', ...others] = chunk.split('\n');
    pieces.push(first);
    chars += first.length;
    const rest = others.pop();
    if (rest !== undefined) {
      yield pieces.join('');
      yield* others;
      pieces = [rest];
      chars = rest.length;
    }
    if (chars > charsMax) {
      throw new HoldfastError('TooLarge', `a line has more than ${charsMax} characters`);
    }
  }
  if (chars > 0) yield pieces.join('');
}
