/**
 * Goal: what the engine can do, a person can do at a shell: older revisions, transactions, watches that outlive
 * a restart, leases, compaction. Data alone on stdout, JSON with -o json, and an exit code that tells.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  KvBody,
  KvStatsReply,
  KvWatchLine,
  LeaseKeysReply,
  TxnReply,
} from '../../src/agent/faces/agent-api/schema.ts';
import { AgentProcess } from '../support/agent-process.ts';
import type { Child } from '../support/child.ts';

const OK = 0;
const FAILURE = 1;
const USAGE = 2;
const NOT_RUNNING = 3;
const NOT_FOUND = 5;

let agent: AgentProcess;
beforeAll(async () => {
  agent = await AgentProcess.start();
});
afterAll(() => agent.remove());

async function put(key: string, value: string, ...more: string[]): Promise<number> {
  const { code, stdout, stderr } = await agent.cli('kv', 'put', key, value, ...more);
  expect([code, stderr]).toEqual([OK, '']);
  return Number(stdout);
}

async function out(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await agent.cli(...args);
  expect([code, stderr]).toEqual([OK, '']);
  return stdout;
}

describe('get and ls', () => {
  it('as of an older revision', async () => {
    const first = await put('old/a', '1');
    // The agent writes, too: the next revision need not be ours.
    const second = await put('old/b', '1');
    await put('old/a', '2');
    await agent.cli('kv', 'del', 'old/b');
    expect(await out('kv', 'get', 'old/a', '--revision', `${first}`)).toBe('1');
    expect(await out('kv', 'ls', 'old', '--keys-only')).toBe('old/a\n');
    const then = ['--revision', `${second}`];
    expect(await out('kv', 'ls', 'old', '--keys-only', ...then)).toBe('old/a\nold/b\n');
    const kvs = await agent.json<KvBody[]>('kv', 'ls', 'old', ...then);
    expect(kvs.map(({ text }) => text)).toEqual(['1', '1']);
    const early = await agent.cli('kv', 'get', 'old/b', '--revision', `${first}`);
    expect([early.code, early.stderr]).toEqual([NOT_FOUND, expect.stringContaining(`${first}`)]);
    const later = await agent.cli('kv', 'get', 'old/a', '--revision', '999999999');
    expect([later.code, later.stdout]).toEqual([USAGE, '']);
  });

  it('in parts, keys only, and what is directly below', async () => {
    for (const key of ['a', 'b/1', 'b/2/x', 'c']) await put(`ls/${key}`, 'v');
    const keys = async (...more: string[]): Promise<string[]> =>
      (await out('kv', 'list', 'ls', '--keys-only', ...more)).trim().split('\n');
    expect(await keys()).toEqual(['ls/a', 'ls/b/1', 'ls/b/2/x', 'ls/c']);
    expect(await keys('-r')).toEqual(await keys());
    expect(await keys('--limit', '2')).toEqual(['ls/a', 'ls/b/1']);
    expect(await keys('--after', 'ls/b/1')).toEqual(['ls/b/2/x', 'ls/c']);
    expect(await keys('--no-recursive')).toEqual(['ls/a', 'ls/b/', 'ls/c']);
    expect(await keys('--no-recursive', '--limit', '2')).toEqual(['ls/a', 'ls/b/']);
    const [first] = await agent.json<KvBody[]>('kv', 'ls', 'ls', '--keys-only');
    expect(first).toMatchObject({ key: 'ls/a', version: 1 });
    expect(first).not.toHaveProperty('value');
    expect((await agent.cli('kv', 'ls', '--limit', '0')).code).toBe(USAGE);
  });
});

describe('txn', () => {
  const swap = (text: string): string =>
    JSON.stringify({
      compares: [{ key: 'txn/owner', target: 'version', operator: '=', number: 0 }],
      then: [{ type: 'put', key: 'txn/owner', text }],
      else: [{ type: 'get', key: 'txn/owner' }],
    });

  it('takes one branch, from standard input or a file', async () => {
    const first = await agent.cliWith(swap('me'), 'kv', 'txn', '-o', 'json');
    expect(JSON.parse(first.stdout)).toMatchObject({ succeeded: true, dryRun: false });
    const file = path.join(agent.folder, 'txn.json');
    writeFileSync(file, swap('you'));
    const second = await agent.json<TxnReply>('kv', 'txn', file);
    expect(second).toMatchObject({
      succeeded: false,
      results: [{ type: 'get', kvs: [{ text: 'me' }] }],
    });
    expect(await out('kv', 'get', 'txn/owner')).toBe('me');
    const shown = (await agent.cliWith(swap('you'), 'kv', 'txn')).stdout;
    expect(shown).toMatch(/^did "else" at revision \d+\nget txn\/owner\n {2}txn\/owner \d+ me\n$/);
  });

  it('--dry-run decides, shows what is there, and writes nothing', async () => {
    await put('dry/a', 'old');
    const text = JSON.stringify({
      then: [
        { type: 'put', key: 'dry/a', text: 'new', previous: true },
        { type: 'delete', prefix: 'dry' },
        { type: 'get', key: 'dry/a' },
      ],
    });
    const before = await agent.json<KvStatsReply>('kv', 'stats');
    const dry = await agent.cliWith(text, 'kv', 'txn', '--dry-run', '-o', 'json');
    expect(dry.code).toBe(OK);
    const answer = JSON.parse(dry.stdout) as TxnReply;
    expect(answer).toMatchObject({ succeeded: true, dryRun: true });
    expect(answer.results.map(({ kvs }) => kvs?.map(({ text: value }) => value))).toEqual(
      Array(3).fill(['old']),
    );
    expect((await agent.json<KvStatsReply>('kv', 'stats')).revision).toBe(before.revision);
    const shown = (await agent.cliWith(text, 'kv', 'txn', '--dry-run')).stdout;
    expect(shown).toContain('would do "then"');
    expect(shown).toContain('put dry/a\n  dry/a');
  });

  it.each([
    ['no JSON', '{', 'not JSON'],
    ['no object', '[]', 'a JSON object'],
    ['an unknown member', '{"than": []}', 'did you mean "then"?'],
    ['a put without a value', '{"then": [{"type": "put", "key": "a"}]}', 'then.0'],
  ])('refuses %s', async (_what, text, words) => {
    const answer = await agent.cliWith(text, 'kv', 'txn');
    expect([answer.code, answer.stdout]).toEqual([USAGE, '']);
    expect(answer.stderr).toContain(words);
  });
});

describe('watch', () => {
  const linesOf = (child: Child): KvWatchLine[] =>
    child.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as KvWatchLine);

  it('goes on after a restart of the agent, each change once', async () => {
    const from = await put('again/a', '1');
    const args = ['kv', 'watch', 'again', '--from', `${from}`, '-o', 'json'];
    const child = await agent.spawnCli(...args);
    await child.waitForOutput(/"again\/a"/);
    await agent.kill();
    await agent.start();
    await put('again/b', '2');
    await child.waitForOutput(/"again\/b"/);
    await agent.stop();
    await child.waitForOutput(/waiting for it/);
    await agent.start();
    await put('again/c', '3');
    await child.waitForOutput(/"again\/c"/);
    child.signal('SIGINT');
    expect(await child.exited).toMatchObject({ code: OK });
    const keys = linesOf(child).flatMap(({ changes }) => changes.map(({ key }) => key));
    expect(keys).toEqual(['again/a', 'again/b', 'again/c']);
  });

  it('ends with the reason, and where to go on, when the agent does not come back in time', async () => {
    const from = await put('gone/a', '1');
    const args = ['kv', 'watch', 'gone', '--from', `${from}`, '--timeout', '2'];
    const child = await agent.spawnCli(...args);
    await child.waitForOutput(/gone\/a/);
    await agent.stop();
    expect(await child.exited).toMatchObject({ code: NOT_RUNNING });
    expect(child.output).toContain(`--from ${from + 1}`);
    const never = await agent.cli('kv', 'watch', 'gone');
    expect([never.code, never.stdout]).toEqual([NOT_RUNNING, '']);
    await agent.start();
  });

  it('shows puts or deletes only, and what was there before', async () => {
    const from = await put('only/a', '1');
    await put('only/a', '2');
    await agent.cli('kv', 'del', 'only/a');
    const watch = async (until: RegExp, ...more: string[]): Promise<string> => {
      const child = await agent.spawnCli('kv', 'watch', 'only', '--from', `${from}`, ...more);
      await child.waitForOutput(until);
      child.signal('SIGINT');
      await child.exited;
      return child.output.replaceAll(/^\d+ /gm, '');
    };
    expect(await watch(/put.*\n.*put.*\n/, '--no-deletes')).toBe('put only/a 1\nput only/a 2\n');
    expect(await watch(/delete.*\n/, '--no-puts', '--prev')).toBe('delete only/a (before: 2)\n');
    expect(await watch(/delete.*\n/, '--prev')).toBe(
      'put only/a 1\nput only/a 2 (before: 1)\ndelete only/a (before: 2)\n',
    );
    const progress = await watch(/progress\n/, '--no-puts', '--progress');
    expect(progress).toMatch(/^progress\n/);
  });
});

describe('lease', () => {
  it('grant, put under it, show, ls, keepalive, revoke', async () => {
    const id = (await out('kv', 'lease', 'grant', '600')).trim();
    await put('leased/a', '1', '--lease', id);
    expect(await agent.json<LeaseKeysReply>('kv', 'lease', 'show', id)).toMatchObject({
      id: Number(id),
      ttlSeconds: 600,
      keys: ['leased/a'],
    });
    expect(await out('kv', 'lease', 'list')).toContain(id);
    expect(await out('kv', 'lease', 'keepalive', id, '--once')).toBe('');
    expect((await agent.json<KvBody>('kv', 'get', 'leased/a')).lease).toBe(Number(id));
    expect(await out('kv', 'lease', 'revoke', id)).toBe('');
    expect((await agent.cli('kv', 'get', 'leased/a')).code).toBe(NOT_FOUND);
    for (const verb of ['show', 'revoke', 'keepalive']) {
      expect((await agent.cli('kv', 'lease', verb, id)).code).toBe(NOT_FOUND);
    }
    expect((await agent.cli('kv', 'lease', 'grant', '0')).code).toBe(USAGE);
    expect((await agent.cli('kv', 'put', 'leased/a', '1', '--lease', id)).code).toBe(NOT_FOUND);
  });

  it('keepalive keeps it over a restart of the agent until Ctrl-C, and ends when it is gone', async () => {
    const id = (await out('kv', 'lease', 'grant', '2')).trim();
    await put('alive/a', '1', '--lease', id);
    const keeper = await agent.spawnCli('kv', 'lease', 'keepalive', id);
    await keeper.waitForOutput(/keeping/);
    await agent.kill();
    await agent.start();
    // A lease that is kept alive now has its whole time; by itself it would only lose.
    await keeper.waitUntil('it was kept alive', async () => {
      const { remainingMs } = await agent.json<LeaseKeysReply>('kv', 'lease', 'show', id);
      const again = await agent.json<LeaseKeysReply>('kv', 'lease', 'show', id);
      return again.remainingMs > remainingMs;
    });
    await agent.cli('kv', 'lease', 'revoke', id);
    expect(await keeper.exited).toMatchObject({ code: NOT_FOUND });
  });
});

describe('upkeep', () => {
  it('compact: told first, then done; what needs it is told', async () => {
    const from = await put('compact/a', '1');
    const to = await put('compact/a', '2');
    const before = await agent.json<KvStatsReply>('kv', 'stats');
    const dry = await agent.json<{ dropped: number }>('kv', 'compact', `${to}`, '--dry-run');
    expect(dry.dropped).toBe(to - before.compactedRevision);
    const unchanged = { ...before, oldestAgeMs: expect.any(Number) as number };
    expect(await agent.json<KvStatsReply>('kv', 'stats')).toEqual(unchanged);
    expect(await agent.json('kv', 'compact', `${to}`)).toMatchObject({
      compactedRevision: to,
      dropped: dry.dropped,
      dryRun: false,
    });
    expect(await out('kv', 'get', 'compact/a')).toBe('2');
    const watch = await agent.cli('kv', 'watch', 'compact', '--from', `${from}`);
    expect([watch.code, watch.stdout]).toEqual([FAILURE, '']);
    expect(watch.stderr).toContain('Compacted');
    const read = await agent.cli('kv', 'get', 'compact/a', '--revision', `${from}`);
    expect([read.code, read.stderr]).toEqual([FAILURE, expect.stringContaining('Compacted')]);
    expect((await agent.cli('kv', 'compact', '999999999')).code).toBe(USAGE);
    expect(await out('kv', 'stats')).toMatch(/history: +from revision \d+/);
  });
});

describe('dump and restore', () => {
  it('a key under a lease is marked, and not brought back without its holder', async () => {
    const id = (await out('kv', 'lease', 'grant', '600')).trim();
    await put('dump/leased', 'x', '--lease', id);
    await put('dump/kept', 'y');
    const dump = await out('kv', 'dump', 'dump');
    expect(dump).toContain(`"lease":${id}`);
    expect(await out('kv', 'dump', 'dump', '--offline')).toBe(dump);
    await agent.cli('kv', 'lease', 'revoke', id);
    await agent.cli('kv', 'del', 'dump/kept');
    const restored = await agent.cliWith(dump, 'kv', 'restore', '-', '-o', 'json');
    expect(JSON.parse(restored.stdout)).toMatchObject({ written: 1, leased: 1 });
    expect(await out('kv', 'ls', 'dump', '--keys-only')).toBe('dump/kept\n');
  });

  it('many lines are a few transactions, with progress on stderr', async () => {
    const value = Buffer.from('v').toString('base64');
    const lines = Array.from({ length: 10_000 }, (_, i) =>
      JSON.stringify({ key: `many/${i}`, value }),
    );
    const before = await agent.json<KvStatsReply>('kv', 'stats');
    const text = `${lines.join('\n')}\n`;
    const first = await agent.cliWith(text, 'kv', 'import', '-', '--progress', '-o', 'json');
    expect(first.stderr).toBe('10000 lines\n');
    expect(JSON.parse(first.stdout)).toMatchObject({ written: 10_000, unchanged: 0 });
    const after = await agent.json<KvStatsReply>('kv', 'stats');
    expect(after.revision - before.revision).toBeLessThan(100);
    const second = await agent.cliWith(text, 'kv', 'import', '-', '-o', 'json');
    expect(JSON.parse(second.stdout)).toMatchObject({ written: 0, unchanged: 10_000 });
    expect((await agent.json<KvStatsReply>('kv', 'stats')).revision).toBe(after.revision);
  });
});
