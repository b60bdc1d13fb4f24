/** Goal: every verb does what its help says, reads give JSON, exit codes are the documented ones, bad input changes nothing. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  DeviceBody,
  KvBody,
  StatusReply,
  VolumeBody,
} from '../../src/agent/faces/agent-api/schema.ts';
import { AgentProcess } from '../support/agent-process.ts';

const OK = 0;
const FAILURE = 1;
const USAGE = 2;
const NOT_RUNNING = 3;
const NOT_FOUND = 5;
const CONFLICT = 6;
const CONFIGURATION = 78;

let agent: AgentProcess;
beforeAll(async () => {
  agent = await AgentProcess.start();
});
afterAll(() => agent.remove());

async function codeOf(...args: string[]): Promise<number> {
  return (await agent.cli(...args)).code;
}

describe('reads', () => {
  it.each([
    ['status'],
    ['device', 'ls'],
    ['volume', 'ls'],
    ['kv', 'ls'],
    ['sync', 'status'],
    ['config', 'check'],
    ['config', 'show'],
    ['doctor'],
  ])('%s %s: a table for people, JSON with -o json', async (...args) => {
    const shown = await agent.cli(...args);
    expect(shown.code).toBe(OK);
    const json = await agent.cli(...args, '-o', 'json');
    expect(() => JSON.parse(json.stdout) as unknown).not.toThrow();
  });

  it('shows one device by kernel name and by id', async () => {
    const [first] = await agent.json<DeviceBody[]>('device', 'ls');
    expect(await agent.json<DeviceBody>('device', 'inspect', first!.name)).toEqual(first);
    expect(await agent.json<DeviceBody>('device', 'inspect', first!.id)).toEqual(first);
    expect((await agent.cli('device', 'inspect', first!.name)).stdout).toContain(first!.id);
  });
});

describe('volumes', () => {
  it('live from create to rm; each verb is fine the second time', async () => {
    const made = await agent.json<VolumeBody>('volume', 'create', 'a b/../ü🎈', '--mount-at-boot');
    expect(made.spec).toMatchObject({ driver: 'dir', mountAtBoot: true });
    for (const verb of ['mount', 'mount']) {
      const { stdout, code } = await agent.cli('volume', verb, 'A B/../Ü🎈');
      expect([code, stdout.trim()]).toEqual([OK, `${agent.stateDir}/volumes/dir/${made.spec.id}`]);
    }
    expect(await codeOf('volume', 'rm', made.spec.id)).toBe(CONFLICT);
    for (const verb of ['unmount', 'unmount'])
      expect(await codeOf('volume', verb, made.spec.id)).toBe(OK);
    const dry = await agent.cli('volume', 'rm', '--dry-run', made.spec.id);
    expect([dry.code, dry.stdout.includes(made.spec.id)]).toEqual([OK, true]);
    expect(await codeOf('volume', 'inspect', made.spec.id)).toBe(OK);
    expect(await codeOf('volume', 'rm', made.spec.id)).toBe(OK);
    expect(await codeOf('volume', 'inspect', made.spec.id)).toBe(NOT_FOUND);
  });

  it.each([
    ['an unknown service', ['--service', 'dirr'], NOT_FOUND, 'did you mean "dir"?'],
    ['a size that is none', ['--size', '12x'], USAGE, '12x is not a size'],
    ['a size of 0', ['--size', '0'], USAGE, 'must be above 0'],
    ['more than the file system', ['--size', '900T'], FAILURE, 'larger than the file system'],
    ['a file system on a directory', ['--fs', 'ext4'], USAGE, 'no file system of their own'],
    ['an unknown file system', ['--fs', 'ext5'], USAGE, 'did you mean "ext4"?'],
    ['an unknown option', ['--sise', '1G'], USAGE, "unknown option '--sise'"],
  ])('create refuses %s and makes nothing', async (_what, args, code, words) => {
    const answer = await agent.cli('volume', 'create', 'wrong', ...args);
    expect([answer.code, answer.stderr]).toEqual([code, expect.stringContaining(words)]);
    expect(await agent.json<VolumeBody[]>('volume', 'ls')).toEqual([]);
  });

  it.each([
    ['300 bytes', 'x'.repeat(300), 'has 300 bytes'],
    ['a control character', 'a\u001bb', 'U+001B'],
    ['nothing', '', 'needs a name'],
    ['an id', '01a20cb0-4b12-72fc-9380-9486dbe9f8cd', 'looks like an id'],
  ])('a name of %s is refused', async (_what, name, words) => {
    const answer = await agent.cli('volume', 'create', name);
    expect([answer.code, answer.stderr]).toEqual([USAGE, expect.stringContaining(words)]);
  });

  it('a name that is taken, in any case, is a conflict', async () => {
    await agent.json('volume', 'create', 'Straße');
    expect(await codeOf('volume', 'create', 'STRASSE')).toBe(CONFLICT);
    expect(await codeOf('volume', 'rm', 'strasse')).toBe(OK);
  });
});

describe('kv', () => {
  it('put, get, cas, ls, del', async () => {
    const first = (await agent.cli('kv', 'put', 'app/color', 'blue')).stdout.trim();
    expect((await agent.cli('kv', 'get', 'app/color')).stdout).toBe('blue');
    expect(await agent.json<KvBody>('kv', 'get', 'app/color')).toMatchObject({
      text: 'blue',
      version: 1,
    });
    const wrong = await agent.cli('kv', 'cas', 'app/color', '1', 'red');
    expect(wrong.code).toBe(CONFLICT);
    expect(await codeOf('kv', 'cas', 'app/color', first, 'red')).toBe(OK);
    expect((await agent.cli('kv', 'ls', 'app')).stdout).toContain('app/color');
    expect(await codeOf('kv', 'del', 'app/color')).toBe(OK);
    expect(await codeOf('kv', 'get', 'app/color')).toBe(NOT_FOUND);
    expect(await codeOf('kv', 'put', 'a//b', 'x')).toBe(USAGE);
    expect(await codeOf('kv', 'cas', 'app/color', 'first', 'red')).toBe(USAGE);
    expect(await codeOf('kv', 'put', 'app/color', '--file', '/nonexistent')).toBe(USAGE);
  });

  it('takes any bytes from a file', async () => {
    const file = path.join(agent.folder, 'bytes');
    writeFileSync(
      file,
      Uint8Array.from({ length: 256 }, (_, i) => i),
    );
    expect(await codeOf('kv', 'put', 'bytes', '--file', file)).toBe(OK);
    const { value } = await agent.json<KvBody>('kv', 'get', 'bytes');
    expect(Buffer.from(value, 'base64')).toEqual(
      Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
    );
  });

  it('cannot reach what is not the user’s', async () => {
    expect(await codeOf('kv', 'get', '../host/identity')).toBe(NOT_FOUND);
    expect(await codeOf('kv', 'get', 'host/identity')).toBe(NOT_FOUND);
  });
});

describe('exit codes', () => {
  it('3 when no agent runs, with the next step', async () => {
    const answer = await agent.cli('status', '--socket', path.join(agent.folder, 'nobody.sock'));
    expect([answer.code, answer.stderr]).toEqual([
      NOT_RUNNING,
      expect.stringContaining('holdfast agent'),
    ]);
  });

  it('5 for what is not there, 2 for what is not a verb', async () => {
    expect(await codeOf('device', 'inspect', 'sdzz')).toBe(NOT_FOUND);
    expect(await codeOf('volume', 'mount', 'nothing')).toBe(NOT_FOUND);
    expect(await codeOf('volumes')).toBe(USAGE);
    expect(await codeOf('status', '-o', 'xml')).toBe(USAGE);
  });

  it('78 for a wrong configuration, with line, column and the nearest key', async () => {
    const file = path.join(agent.folder, 'wrong.yaml');
    writeFileSync(file, 'devices:\n  rescanSecond: 5\n');
    const answer = await agent.cli('config', 'check', '--config', file);
    expect(answer.code).toBe(CONFIGURATION);
    expect(answer.stderr).toContain(`${file}:2:3: unknown key \`devices.rescanSecond\``);
    expect(answer.stderr).toContain('did you mean `rescanSeconds`?');
  });

  it('an error as JSON with -o json', async () => {
    const { stderr } = await agent.cli('volume', 'inspect', 'nothing', '-o', 'json');
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'NotFound', retry: 'never' } });
  });

  it('help and version are 0 everywhere', async () => {
    for (const args of [['--help'], ['volume', '--help'], ['kv', 'cas', '--help'], ['--version']]) {
      expect([args, await codeOf(...args)]).toEqual([args, OK]);
    }
  });
});

it('a changed configuration is applied while it runs; a wrong one is told and changes nothing', async () => {
  const services = ['dir', 'more'].map((name) => {
    return `    - { name: ${name}, driver: dir, path: ${agent.stateDir}/volumes/${name} }`;
  });
  writeFileSync(agent.configFile, ['volumes:', '  services:', ...services, ''].join('\n'));
  const status = (): Promise<StatusReply> => agent.json<StatusReply>('status');
  await agent.child.waitUntil('the new service is there', async () =>
    (await status()).services.some(({ name }) => name === 'more'),
  );
  expect(
    (await agent.json<VolumeBody>('volume', 'create', 'n', '--service', 'more')).spec.service,
  ).toBe('more');

  const dropIns = path.join(agent.folder, 'config.d');
  mkdirSync(dropIns);
  writeFileSync(path.join(dropIns, '10.yaml'), 'log: { level: loud }\n');
  await agent.child.waitUntil('it is degraded', async () => (await status()).state === 'degraded');
  expect((await status()).reasons).toEqual([expect.stringContaining('10.yaml')]);
  writeFileSync(path.join(dropIns, '10.yaml'), 'log: { level: debug }\n');
  await agent.child.waitUntil('it is ready again', async () => (await status()).state === 'ready');
});
