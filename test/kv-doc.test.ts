/**
 * Goal: every command that docs/kv.md shows does what the page says, with the very words.
 * Method: one real agent; each `sh` block is run as it is, in the page's order, by one shell that keeps its
 * variables. Numbers differ from run to run (revisions, leases): each one but exit codes is compared as `N`.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { AgentProcess } from './support/agent-process.ts';
import { projectRoot } from './support/compiled.ts';

const run = promisify(execFile);

/** Commands, and what they print. */
const BLOCK = /```sh\n([^]*?)```\n```\n([^]*?)```/g;
/** Some forty commands, on a busy machine. */
const PAGE_MS_MAX = 240_000;
const MARK = '--- next block ---';

const page = readFileSync(path.join(projectRoot, 'docs/kv.md'), 'utf8');
const blocks = [...page.matchAll(BLOCK)].map(([, code = '', output = '']) => ({ code, output }));

/** Exit codes stay. Columns are as wide as their widest number; a ticket's key has a hexadecimal one. */
function withoutNumbers(text: string): string {
  return text
    .replaceAll(/\/[0-9a-f]{6,}\//g, '/N/')
    .replaceAll(/(?<!exit code )\b\d+\b/g, 'N')
    .replaceAll(/ {2,}/g, '  ');
}

test('each block that is to be run says what it prints', () => {
  expect(blocks.length).toBe(page.split('```sh\n').length - 1);
  expect(blocks.length).toBeGreaterThan(8);
});

test('the page', { timeout: PAGE_MS_MAX }, async () => {
  await using agent = await AgentProcess.start();
  const script = path.join(agent.folder, 'page.sh');
  writeFileSync(script, blocks.map(({ code }) => `${code}echo '${MARK}'\n`).join(''));
  const running = run('sh', ['-c', `exec sh -e ${script} 2>&1`], {
    cwd: agent.folder,
    timeout: PAGE_MS_MAX,
    env: {
      PATH: `${path.join(projectRoot, 'bin')}:${process.env['PATH']}`,
      HOME: agent.folder,
      HOLDFAST_SOCKET: agent.socket,
      HOLDFAST_STATE_DIR: agent.stateDir,
      HOLDFAST_CONFIG: agent.configFile,
    },
  });
  const { stdout } = await running.catch((thrown: Error & { stdout: string }) => {
    throw new Error(`${thrown.message}: ${thrown.stdout}`);
  });
  const printed = stdout.split(`${MARK}\n`).slice(0, -1);
  expect(printed.map(withoutNumbers)).toEqual(blocks.map(({ output }) => withoutNumbers(output)));
});
