/**
 * Goal: check, dump, backup and restore do what their help says, beside a running agent and after it was
 * killed, change no byte of its store, and answer damage with an error and an exit code, never a crash.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { CheckReport, DumpLine } from '../../src/engine/index.ts';
import type { KvBody } from '../../src/agent/faces/agent-api/schema.ts';
import { contents, STORE_FILE } from '../crash/store-files.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const OK = 0;
const FAILURE = 1;
const USAGE = 2;
const NOT_FOUND = 5;
const CONFLICT = 6;
const KEYS = 50;
const ODD_KEY = 'odd/\u2028 "ü🎈';

async function withKeys(backend: string): Promise<AgentProcess> {
  const agent = await AgentProcess.start({ config: `engine:\n  backend: ${backend}\n` });
  for (let i = 0; i < KEYS; i += 1) {
    await agent.call('PUT', `/agent/v1/kv?key=app/k${i}`, { value: `v${i}` });
  }
  const file = path.join(agent.folder, 'odd');
  writeFileSync(file, Buffer.from([0, 255, 10, 13]));
  expect((await agent.cli('kv', 'put', ODD_KEY, '--file', file)).code).toBe(OK);
  return agent;
}

const linesOf = (text: string): DumpLine[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as DumpLine);
/** Another test file may be at work with one of its own. */
const COPIES_WAIT_MS = 30_000;
const copiesLeft = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('holdfast-copy-'));

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  it('beside a running agent, and after SIGKILL: whole, and the same keys', async () => {
    await using agent = await withKeys(backend);
    const store = path.join(agent.stateDir, 'engine');
    const report = await agent.json<CheckReport>('kv', 'check');
    expect(report).toMatchObject({ errors: 0, warnings: 0, findings: [] });
    expect(report.keys).toBeGreaterThan(KEYS);
    const online = (await agent.cli('kv', 'dump')).stdout;
    const offline = (await agent.cli('kv', 'dump', '--offline')).stdout;
    expect(offline).toBe(online);
    expect(linesOf(online).length).toBe(KEYS + 1);
    expect(linesOf(online).find(({ key }) => key === ODD_KEY)!.value).toBe('AP8KDQ==');
    expect(linesOf((await agent.cli('kv', 'dump', 'app', '--offline')).stdout).length).toBe(KEYS);

    await agent.kill();
    const before = contents(store);
    const shown = await agent.cli('kv', 'check');
    expect([shown.code, shown.stdout]).toEqual([OK, expect.stringMatching(/errors: +0\n/)]);
    expect((await agent.cli('kv', 'dump', '/', '--offline')).stdout).toBe(online);
    expect(contents(store)).toEqual(before);
    expect((await agent.cli('kv', 'dump', '--store', store)).code).toBe(USAGE);
  });

  it('a backup of the running agent becomes a new store with the same keys', async () => {
    await using agent = await withKeys(backend);
    const file = path.join(agent.folder, 'backup');
    const made = await agent.json<{ incarnation: string; revision: number }>('kv', 'backup', file);
    const dump = (await agent.cli('kv', 'dump')).stdout;
    expect((await agent.cli('kv', 'backup', file)).code).toBe(CONFLICT);
    const inUse = await agent.cli('kv', 'restore-store', file);
    expect([inUse.code, inUse.stderr]).toEqual([CONFLICT, expect.stringContaining('Locked')]);
    await agent.stop();
    const full = await agent.cli('kv', 'restore-store', file);
    expect([full.code, full.stderr]).toEqual([CONFLICT, expect.stringContaining('AlreadyExists')]);

    await using next = new AgentProcess({ config: `engine:\n  backend: ${backend}\n` });
    const lines = readFileSync(file, 'utf8');
    for (const [wrong, words] of [
      [lines.slice(0, lines.lastIndexOf('\n', lines.length - 2) + 1), 'cut off after'],
      [lines.replace('"version":1', '"version":2'), 'checksum'],
      ['{}\n', 'not a backup'],
    ] as const) {
      writeFileSync(`${file}-wrong`, wrong);
      const answer = await next.cli('kv', 'restore-store', `${file}-wrong`);
      expect([answer.code, answer.stderr]).toEqual([FAILURE, expect.stringContaining(words)]);
      expect(existsSync(path.join(next.stateDir, 'engine'))).toBe(false);
    }
    const restored = await next.json<{ incarnation: string }>('kv', 'restore-store', file);
    expect(restored).toMatchObject({ revision: made.revision });
    expect(restored.incarnation).not.toBe(made.incarnation);
    expect(await next.json<CheckReport>('kv', 'check')).toMatchObject({ errors: 0, warnings: 0 });
    expect((await next.cli('kv', 'dump', '--offline')).stdout).toBe(dump);
    await next.start();
    expect((await next.cli('kv', 'dump')).stdout).toBe(dump);
    const revision = Number((await next.cli('kv', 'put', 'new', 'x')).stdout);
    expect(revision).toBeGreaterThan(made.revision);
  });

  it('damage: exit 1, the finding as JSON, nothing written, no copy left behind', async () => {
    await using agent = await withKeys(backend);
    await agent.stop();
    const name = STORE_FILE[backend];
    const bytes = readFileSync(path.join(agent.stateDir, 'engine', name));
    const folder = path.join(tempDir('damaged'), 'engine');
    mkdirSync(folder);
    // Every page but the first two is noise: LMDB would not survive to map it.
    writeFileSync(path.join(folder, name), bytes.fill(0x5a, 8192));
    const before = contents(folder);
    const copies = copiesLeft();
    const answer = await agent.cli('kv', 'check', folder, '-o', 'json');
    expect(answer.code).toBe(FAILURE);
    expect((JSON.parse(answer.stdout) as CheckReport).errors).toBeGreaterThan(0);
    expect((await agent.cli('kv', 'check', folder)).stdout).toContain('error');
    const target = path.join(agent.folder, 'backup');
    const failed = await agent.cli('kv', 'backup', target, '--store', folder);
    expect([failed.code, failed.stderr]).toEqual([FAILURE, expect.stringContaining('Corrupt')]);
    expect(readdirSync(agent.folder).filter((found) => found.startsWith('backup'))).toEqual([]);
    expect(contents(folder)).toEqual(before);
    const isClean = (): boolean => copiesLeft().every((name) => copies.includes(name));
    await vi.waitUntil(isClean, { timeout: COPIES_WAIT_MS });
    expect((await agent.cli('kv', 'check', agent.folder)).code).toBe(NOT_FOUND);
  });
});

describe('restore into a running agent', () => {
  it('writes what is missing, leaves what is the same, names conflicts', async () => {
    await using agent = await withKeys('sqlite');
    const file = path.join(agent.folder, 'dump');
    writeFileSync(file, (await agent.cli('kv', 'export')).stdout);
    const counts = { written: 0, unchanged: KEYS + 1, conflicts: 0, leased: 0, dryRun: false };
    expect(await agent.json('kv', 'restore', file)).toEqual(counts);
    await agent.cli('kv', 'del', 'app/k1');
    await agent.cli('kv', 'put', 'app/k2', 'other');
    const dry = await agent.cli('kv', 'restore', '--dry-run', file, '-o', 'json');
    expect(dry.code).toBe(CONFLICT);
    expect(JSON.parse(dry.stdout)).toMatchObject({ written: 1, conflicts: 1, dryRun: true });
    expect((await agent.cli('kv', 'get', 'app/k1')).code).toBe(NOT_FOUND);
    const first = await agent.cli('kv', 'import', file);
    expect([first.code, first.stderr]).toEqual([CONFLICT, expect.stringContaining('"app/k2"')]);
    expect((await agent.cli('kv', 'get', 'app/k1')).code).toBe(OK);
    expect(await agent.json<KvBody>('kv', 'get', 'app/k2')).toMatchObject({ text: 'other' });
    expect((await agent.cli('kv', 'restore', '--overwrite', file)).code).toBe(OK);
    expect(await agent.json('kv', 'restore', file)).toEqual(counts);
  });

  it('refuses what is no dump', async () => {
    await using agent = await withKeys('sqlite');
    const file = path.join(agent.folder, 'wrong');
    for (const [text, words] of [
      ['{"key":"a"}', 'line 1'],
      ['{"key":"a","value":"not base64!"}', 'base64'],
      ['\nnonsense', 'line 2'],
    ] as const) {
      writeFileSync(file, text);
      const answer = await agent.cli('kv', 'restore', file);
      expect([answer.code, answer.stderr]).toEqual([USAGE, expect.stringContaining(words)]);
    }
    expect((await agent.cli('kv', 'restore', `${file}-missing`)).code).toBe(USAGE);
  });
});
