/**
 * Goal: whatever a test leaves on the machine fails the run and is listed with a command that really
 * removes it; what is not of the run is left alone. Method: real leaks in a vitest run of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { noVirtualHost } from './host/root-image.ts';
import { Child, type ChildExit } from './support/child.ts';
import { leftIn, networkNamespaces } from './support/leaks.ts';
import { tempDir } from './support/temp-dir.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const isRoot = process.getuid?.() === 0;

interface Run extends ChildExit {
  readonly lines: readonly string[];
}

/** @param folder where the run has its temporary folder, and so all that it leaves */
async function start(leak: string, folder: string, env: NodeJS.ProcessEnv = {}): Promise<Child> {
  const args = ['run', '--config', 'test/fixtures/leaks/vitest.config.mjs'];
  return await Child.start(path.join(ROOT, 'node_modules/.bin/vitest'), args, {
    cwd: ROOT,
    env: { ...process.env, ...env, TMPDIR: folder, LEAK: leak, NO_COLOR: '1' },
  });
}

async function finish(child: Child): Promise<Run> {
  const exit = await child.exited;
  return { ...exit, lines: child.output.trimEnd().split('\n') };
}

/** What the check printed, each with its command. */
function listed({ lines }: Run): { readonly what: string; readonly remove: string }[] {
  const from = lines.indexOf('The tests left behind:');
  if (from < 0) return [];
  const leaks = lines.slice(from + 1).filter((line) => line.startsWith('  '));
  const whats = leaks.filter((_, index) => index % 2 === 0);
  return whats.map((what, index) => ({
    what: what.trim(),
    remove: leaks[2 * index + 1]?.trim() ?? '',
  }));
}

/** Runs the printed commands; those that aren't of this test are left alone. */
async function removeAll(run: Run, folder: string): Promise<void> {
  const namespaces = (): string[] =>
    networkNamespaces()
      .map(({ what }) => what)
      .filter((what) => what.includes('leaky'));
  const mine = new Set([...leftIn(folder).map(({ what }) => what), ...namespaces()]);
  for (const { what, remove } of listed(run)) {
    if (!mine.has(what) && !what.startsWith(`folder ${folder}/`)) continue;
    // A process may be gone with one before it; what counts is that nothing is left.
    spawnSync('sh', ['-c', remove], { cwd: ROOT });
  }
  await expect.poll(() => leftIn(folder)).toEqual([]);
  expect([readdirSync(folder), namespaces()]).toEqual([[], []]);
}

describe('the leak check', () => {
  it('lets a clean run pass, and its last line counts the tests', async () => {
    const run = await finish(await start('nothing', tempDir('leaks')));
    expect([run.code, listed(run)]).toEqual([0, []]);
    expect(run.lines.slice(-2)).toEqual([
      'skipped: test/fixtures/leaks/leaks.mjs: does not run: the reason (1 test)',
      'tests: 2 passed, 0 failed, 1 skipped',
    ]);
  });

  it.for<[string, RegExp, boolean]>([
    ['folder', /^folder .* with holdfast-test-leaky-/, false],
    ['process', /^process \d+: sleep 600$/, false],
    ['process with an empty environment', /^process \d+: tail -F /, false],
    ['mount', /^mount at .*holdfast-test-leaky-/, true],
    ['loop device', /^\/dev\/loop\d+ on .*holdfast-test-leaky-/, true],
    ['virtual host', /^process \d+: linux\.uml .*holdfast-test-leaky-/, true],
    ['network namespace', /^network namespace holdfast-test-leaky-/, true],
  ])('finds a %s and says how to remove it', async ([leak, what, needsRoot], test) => {
    if (needsRoot && !isRoot) return test.skip('needs root');
    const missing = leak === 'virtual host' ? noVirtualHost() : undefined;
    if (missing !== undefined) return test.skip(missing);
    const folder = tempDir('leaks');
    const run = await finish(await start(leak, folder));
    expect([run.code, run.lines.at(-1)]).toEqual([1, 'tests: 2 passed, 0 failed, 1 skipped']);
    expect(listed(run).map((one) => one.what)).toContainEqual(expect.stringMatching(what));
    await removeAll(run, folder);
  });

  it.each([
    ['a failing hook', /^tests: 1 passed, 1 failed, \d skipped$/],
    ['a stray error', /^tests: 2 passed, 1 failed, 1 skipped$/],
  ])('counts %s, which is no test', async (leak, line) => {
    const run = await finish(await start(leak, tempDir('leaks')));
    expect(run.code).toBe(1);
    expect(run.lines.at(-1)).toMatch(line);
  });

  it('also looks when a test failed', async () => {
    const folder = tempDir('leaks');
    const run = await finish(await start('failure', folder));
    expect([run.code, run.lines.at(-1)]).toEqual([1, 'tests: 1 passed, 1 failed, 1 skipped']);
    expect(listed(run)).toHaveLength(1);
    await removeAll(run, folder);
  });

  it.runIf(isRoot)('leaves alone what another run made meanwhile (needs root)', async () => {
    const foreign = tempDir('foreign');
    const env = { FOREIGN_FOLDER: foreign };
    try {
      const run = await finish(await start('something foreign', tempDir('leaks'), env));
      expect([run.code, listed(run)]).toEqual([0, []]);
    } finally {
      execFileSync('umount', [foreign]);
    }
  });

  it('takes nothing for a leak that ends with an interrupted run', async () => {
    const folder = tempDir('leaks');
    const child = await start('hang', folder);
    await child.waitUntil('the test hangs', () => child.output.includes('hangs with'));
    child.signal('SIGINT');
    const run = await finish(child);
    expect(run.code).not.toBe(0);
    expect(listed(run)).toEqual([]);
    expect(leftIn(folder)).toEqual([]);
  });
});
