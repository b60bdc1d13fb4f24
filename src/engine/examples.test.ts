/**
 * Goal: the examples in docs/engine.md run as they are, and print what the page says they print.
 * Method: each block is run against the engine's door, in a folder of its own; what it would print is kept.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import * as door from './index.ts';

const PAGE = new URL('../../docs/engine.md', import.meta.url);
const EXAMPLE = /```ts\n([^]*?)```\n(?:\nprints\n\n```\n([^]*?)```)?/g;
const IMPORT = /^import (\{[^}]+\}) from '.\/src\/engine\/index.ts';\n/;
const FOLDER = '/tmp/holdfast-example';

type Runnable = (
  engine: typeof door,
  out: { log: (...values: unknown[]) => void },
) => Promise<void>;
// The constructor of async functions has no name of its own.
const AsyncFunction = (async () => undefined).constructor as new (...text: string[]) => Runnable;

const examples = [...readFileSync(PAGE, 'utf8').matchAll(EXAMPLE)].map(([, code = '', output]) => ({
  code,
  output,
  names: IMPORT.exec(code)?.[1] ?? '',
}));

describe('docs/engine.md', () => {
  test('has examples', () => {
    expect(examples.length).toBeGreaterThanOrEqual(4);
    expect(examples.filter(({ output }) => output !== undefined).length).toBeGreaterThanOrEqual(3);
  });
  test.each(examples)('$names', async ({ code, output, names }) => {
    expect(names).not.toBe('');
    const folder = path.join(tempDir('example'), 'engine');
    const body = code.replace(IMPORT, `const ${names} = door;\n`).replace(FOLDER, folder);
    const lines: string[] = [];
    const log = (...values: unknown[]): void => {
      lines.push(values.map((one) => (typeof one === 'string' ? one : inspect(one))).join(' '));
    };
    await new AsyncFunction('door', 'console', body)(door, { log });
    if (output !== undefined) expect(`${lines.join('\n')}\n`).toBe(output);
    expect(lines.length).toBeGreaterThan(0);
  });
});
