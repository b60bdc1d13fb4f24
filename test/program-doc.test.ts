/**
 * Goal: the programs in the docs run for whoever has the package, and print what the page says they print.
 * Method: each `js` block is a program of its own, run by plain node, which finds `holdfast/engine` by the
 * package's `exports` and so loads what was compiled.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { Child } from './support/child.ts';
import { compiledProgram, projectRoot } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';

/** A program, and what it prints. */
const PROGRAM = /```js\n([^]*?)```\n\nprints\n\n```\n([^]*?)```/g;
/** What the programs call the folder of their store. */
const FOLDER = '/tmp/holdfast-example';

const programs = ['docs/engine.md', 'docs/stores.md'].flatMap((page) =>
  [...readFileSync(path.join(projectRoot, page), 'utf8').matchAll(PROGRAM)].map(
    ([, code = '', output = '']) => ({ page, code, output }),
  ),
);

/** @throws when it fails, with what it said. @returns what it printed */
async function run(code: string): Promise<string> {
  // The package's own name means something to node in its folder only.
  const args = ['--input-type=module', '--eval', code];
  const child = await Child.start(process.execPath, args, { cwd: projectRoot });
  const { code: status } = await child.exited;
  if (status !== 0) throw new Error(child.output);
  return child.output;
}

beforeAll(() => {
  compiledProgram('src/engine/index.ts', ['src/engine', 'src/base']);
});

test('each page has a program', () => {
  expect(programs.map(({ page }) => page)).toEqual(['docs/engine.md', 'docs/stores.md']);
});

test.each(programs)('the one in $page', async ({ code, output }) => {
  expect(code).toContain("from 'holdfast/engine'");
  expect(code).toContain(FOLDER);
  const folder = path.join(tempDir('program'), 'store');
  expect(await run(code.replace(FOLDER, folder))).toBe(output);
});

test('the suite for stores is exported, nothing else is', async () => {
  const kindOf = (name: string): string =>
    `import('${name}').then((found) => console.log(Object.keys(found)), ({ code }) => console.log(code));`;
  expect(await run(kindOf('holdfast/base'))).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  const resolved = "console.log(import.meta.resolve('holdfast/contract/store'));";
  const file = new URL((await run(resolved)).trim());
  expect(readFileSync(file, 'utf8')).toContain('export function storeContract');
});
