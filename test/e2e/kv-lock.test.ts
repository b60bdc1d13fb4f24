/**
 * Goal: a command runs only while its lock is held, in turn, and whatever happens to it, to the one that
 * holds the lock, or to the agent: the next one gets the lock, nobody keeps it for ever, and the exit code tells.
 * Method: the real agent and the real command line, killed, stopped and restarted for real.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KvListReply } from '../../src/agent/faces/agent-api/schema.ts';
import { AgentProcess } from '../support/agent-process.ts';
import type { Child } from '../support/child.ts';

const OK = 0;
const FAILURE = 1;
const NOT_FOUND = 5;
const CONFLICT = 6;
const COMMAND_NOT_FOUND = 127;
const BY_SIGNAL = 128;
const SIGINT = 2;
const SIGKILL = 9;
const SIGTERM = 15;

interface Who {
  readonly name: string;
  readonly token: number;
  readonly key: string;
  readonly text?: string;
  readonly waiting: number;
}

let agent: AgentProcess;
beforeAll(async () => {
  agent = await AgentProcess.start();
});
afterAll(() => agent.remove());

let names = 0;
/** A lock of its own for each test. */
function newName(): string {
  names += 1;
  return `locks/l${names}`;
}

const who = (name: string): Promise<Who> => agent.json<Who>('kv', 'lock', '--who', name);

async function ticketsOf(name: string): Promise<number> {
  const path_ = `/agent/v1/kv/list?prefix=${encodeURIComponent(name)}`;
  return (await agent.call<KvListReply>('GET', path_)).json.kvs.length;
}

/** Resolves when so many stand in the queue. */
async function queued(child: Child, name: string, count: number): Promise<void> {
  await child.waitUntil(`${count} are in the queue`, async () => (await ticketsOf(name)) === count);
}

/** Says when it has the lock, with its process id, and ends when the file `end` is there. */
const untilFile = (end: string): string[] => [
  'sh',
  '-c',
  `echo "token=$HOLDFAST_LOCK_TOKEN pid=$$"; while [ ! -e ${end} ]; do sleep 0.05; done`,
];

function holding(child: Child): Promise<void> {
  return child.waitForOutput(/token=\d+ pid=\d+/);
}

function commandPid(child: Child): number {
  return Number(/pid=(\d+)/.exec(child.output)?.[1]);
}

function isAlive(pid: number): boolean {
  // A zombie waits for init, it runs nothing.
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(statusOf(pid));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State:\tZ';
  }
}

async function ended(pid: number, meanwhile: Child): Promise<void> {
  await meanwhile.waitUntil('the command has ended', () => !isAlive(pid));
}

describe('a lock', () => {
  it('runs the command with its token, keeps stdout its own, exits with its code, and is free again', async () => {
    const name = newName();
    const script = 'echo out; echo err >&2; cat; exit 7';
    const ran = await agent.cli('kv', 'lock', name, '--', 'sh', '-c', script, '-o', 'json');
    expect(ran).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' });
    const tokens = [];
    for (let i = 0; i < 2; i += 1) {
      const { stdout } = await agent.cli(
        'kv',
        'lock',
        name,
        '--',
        'printenv',
        'HOLDFAST_LOCK_TOKEN',
      );
      tokens.push(Number(stdout));
    }
    expect(tokens[1]).toBeGreaterThan(tokens[0]!);
    expect(await ticketsOf(name)).toBe(0);
    const nobody = await agent.cli('kv', 'lock', '--who', name);
    expect([nobody.code, nobody.stdout]).toEqual([NOT_FOUND, '']);
  });

  it.each([
    ['ended by a signal', ['sh', '-c', 'kill -KILL $$'], BY_SIGNAL + SIGKILL],
    ['not there', ['/nonexistent/command'], COMMAND_NOT_FOUND],
  ])('a command that is %s is told as shells do', async (_what, command, code) => {
    expect((await agent.cli('kv', 'lock', newName(), '--', ...command)).code).toBe(code);
  });

  it('says who holds it and how many wait', async () => {
    const name = newName();
    const end = path.join(agent.folder, 'end-who');
    const holder = await agent.spawnCli(
      'kv',
      'lock',
      name,
      '--value',
      'job 7',
      '--',
      ...untilFile(end),
    );
    await holding(holder);
    const waiter = await agent.spawnCli('kv', 'lock', name, '--', 'true');
    await queued(waiter, name, 2);
    const told = await who(name);
    expect(told).toMatchObject({ name, text: 'job 7', waiting: 1 });
    expect(holder.output).toContain(`token=${told.token} `);
    expect(told.key.startsWith(`${name}/`)).toBe(true);
    writeFileSync(end, '');
    expect(await holder.exited).toMatchObject({ code: OK });
    expect(await waiter.exited).toMatchObject({ code: OK });
  });

  it('SIGKILL of a holder: its command is told, and the others have their turns after the ttl, in order', async () => {
    const name = newName();
    const log = path.join(agent.folder, 'turns');
    const never = path.join(agent.folder, 'never');
    const dead = await agent.spawnCli('kv', 'lock', name, '--ttl', '6', '--', ...untilFile(never));
    await holding(dead);
    const waiters: Child[] = [];
    for (let i = 1; i <= 3; i += 1) {
      const script = `echo "${i} $HOLDFAST_LOCK_TOKEN" >> ${log}`;
      waiters.push(
        await agent.spawnCli('kv', 'lock', name, '--ttl', '60', '--', 'sh', '-c', script),
      );
      await queued(waiters[0]!, name, i + 1);
    }
    const { token } = await who(name);
    await dead.kill();
    // Dead or not, for its time to live it is the holder's.
    expect(await ticketsOf(name)).toBe(4);
    await ended(commandPid(dead), waiters[2]!);
    for (const waiter of waiters) expect(await waiter.exited).toMatchObject({ code: OK });
    const turns = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    expect(turns.map(([i]) => i)).toEqual([1, 2, 3]);
    const tokens = [token, ...turns.map(([, turn]) => turn!)];
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(await ticketsOf(name)).toBe(0);
  });

  it('signals are the command’s, which says how it ends; Ctrl-Z stops nobody', async () => {
    const name = newName();
    const traps = 'trap "exit 9" TERM; trap "echo usr1" USR1';
    const script = `${traps}; echo "token=1 pid=$$"; while :; do sleep 0.05; done`;
    const child = await agent.spawnCli('kv', 'lock', name, '--', 'sh', '-c', script);
    await holding(child);
    // Stopped, it could not pass the next one on.
    child.signal('SIGTSTP');
    child.signal('SIGUSR1');
    await child.waitForOutput(/usr1/);
    child.signal('SIGTERM');
    expect(await child.exited).toMatchObject({ code: 9 });
    expect(await ticketsOf(name)).toBe(0);
  });

  it('one that waits gives up by a signal or in time, and leaves no place in the queue', async () => {
    const name = newName();
    const end = path.join(agent.folder, 'end-wait');
    const holder = await agent.spawnCli('kv', 'lock', name, '--', ...untilFile(end));
    await holding(holder);
    for (const [signal, code] of [
      ['SIGINT', BY_SIGNAL + SIGINT],
      ['SIGTERM', BY_SIGNAL + SIGTERM],
    ] as const) {
      const waiter = await agent.spawnCli('kv', 'lock', name, '--', 'true');
      await queued(waiter, name, 2);
      waiter.signal(signal);
      expect(await waiter.exited).toMatchObject({ code });
      expect(await ticketsOf(name)).toBe(1);
    }
    const late = await agent.cli('kv', 'lock', name, '--timeout', '1', '--', 'true');
    expect([late.code, late.stdout]).toEqual([FAILURE, '']);
    expect(late.stderr).toContain('DeadlineExceeded');
    expect(await ticketsOf(name)).toBe(1);
    writeFileSync(end, '');
    expect(await holder.exited).toMatchObject({ code: OK });
  });

  it('without a command it is held until a signal', async () => {
    const name = newName();
    const child = await agent.spawnCli('kv', 'lock', name, '-o', 'json');
    await child.waitForOutput(/}\n/);
    expect(JSON.parse(child.output)).toMatchObject({ name, token: (await who(name)).token });
    child.signal('SIGINT');
    expect(await child.exited).toMatchObject({ code: OK });
    expect(await ticketsOf(name)).toBe(0);
  });
});

describe('a lost lock', () => {
  it('taken away by force: the command and all it started get SIGTERM, exit code 6', async () => {
    const name = newName();
    const started = 'sh -c "echo inner=\\$\\$; sleep 600"';
    const script = `trap "echo told" TERM; ${started} & echo "token=1 pid=$$"; wait; wait`;
    const child = await agent.spawnCli('kv', 'lock', name, '--', 'sh', '-c', script);
    await holding(child);
    await child.waitForOutput(/inner=\d+/);
    const inner = Number(/inner=(\d+)/.exec(child.output)?.[1]);
    await agent.cli('kv', 'del', (await who(name)).key);
    expect(await child.exited).toMatchObject({ code: CONFLICT });
    expect(child.output).toContain('CannotLock');
    expect(child.output).toContain('told');
    expect([isAlive(commandPid(child)), isAlive(inner)]).toEqual([false, false]);
  });

  it('a command that does not care about SIGTERM is killed', async () => {
    const name = newName();
    const script = 'trap "" TERM; echo "token=1 pid=$$"; while :; do sleep 0.05; done';
    const child = await agent.spawnCli('kv', 'lock', name, '--', 'sh', '-c', script);
    await holding(child);
    await agent.cli('kv', 'del', (await who(name)).key);
    expect(await child.exited).toMatchObject({ code: CONFLICT });
    expect(isAlive(commandPid(child))).toBe(false);
  });
});

describe('the agent goes away', () => {
  it('for a restart: the lock stays held, and those who wait keep their places', async () => {
    const name = newName();
    const end = path.join(agent.folder, 'end-restart');
    const holder = await agent.spawnCli('kv', 'lock', name, '--ttl', '60', '--', ...untilFile(end));
    await holding(holder);
    const waiter = await agent.spawnCli('kv', 'lock', name, '--ttl', '60', '--', 'true');
    await queued(waiter, name, 2);
    const before = await who(name);
    await agent.kill();
    await agent.start();
    expect(await who(name)).toEqual(before);
    expect([holder.running, waiter.running]).toEqual([true, true]);
    writeFileSync(end, '');
    expect(await holder.exited).toMatchObject({ code: OK });
    expect(await waiter.exited).toMatchObject({ code: OK });
  });

  it.each(['killed', 'hung'] as const)(
    '%s for longer than the ttl: the lock is lost',
    async (how) => {
      const name = newName();
      const never = path.join(agent.folder, 'never');
      const child = await agent.spawnCli(
        'kv',
        'lock',
        name,
        '--ttl',
        '2',
        '--',
        ...untilFile(never),
      );
      await holding(child);
      if (how === 'killed') await agent.kill();
      else agent.child.signal('SIGSTOP');
      await child.waitUntil('the command was ended', () => !isAlive(commandPid(child)));
      if (how === 'killed') await agent.start();
      else agent.child.signal('SIGCONT');
      expect(await child.exited).toMatchObject({ code: CONFLICT });
    },
  );
});

describe('an election', () => {
  it('one leads; the next one when it is gone; observers see each change', async () => {
    const name = newName();
    const observer = await agent.spawnCli('kv', 'elect', '--observe', name, '-o', 'json');
    await observer.waitForOutput(/\n/);
    const leader = (text: string): Promise<Child> =>
      agent.spawnCli(
        'kv',
        'elect',
        name,
        '--value',
        text,
        '--',
        'sh',
        '-c',
        'echo "token=1 pid=$$"; sleep 600',
      );
    const first = await leader('a');
    await holding(first);
    const second = await leader('b');
    await queued(second, name, 2);
    expect(await agent.json('kv', 'elect', '--who', name)).toMatchObject({ text: 'a', waiting: 1 });
    first.signal('SIGTERM');
    expect(await first.exited).toMatchObject({ code: BY_SIGNAL + SIGTERM });
    await holding(second);
    second.signal('SIGTERM');
    await second.exited;
    await observer.waitForOutput(/"b".*\n.*\n/);
    observer.signal('SIGINT');
    expect(await observer.exited).toMatchObject({ code: OK });
    const told = observer.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text?: string });
    expect(told.map(({ text }) => text)).toEqual([undefined, 'a', 'b', undefined]);
    expect((await agent.cli('kv', 'elect', '--who', name)).code).toBe(NOT_FOUND);
  });

  it('an agent that is away for longer than the ttl ends the command; when it is back, it leads again', async () => {
    const name = newName();
    const end = path.join(agent.folder, 'end-back');
    const child = await agent.spawnCli('kv', 'elect', name, '--ttl', '2', '--', ...untilFile(end));
    await holding(child);
    const pid = commandPid(child);
    await agent.kill();
    await child.waitUntil('the command was ended', () => !isAlive(pid));
    await agent.start();
    await child.waitForOutput(/token=\d+[^]*token=\d+/);
    writeFileSync(end, '');
    expect(await child.exited).toMatchObject({ code: OK });
    expect(await ticketsOf(name)).toBe(0);
  });

  it('a leader that is deposed ends its command and waits to lead again', async () => {
    const name = newName();
    const end = path.join(agent.folder, 'end-elect');
    const child = await agent.spawnCli('kv', 'elect', name, '--', ...untilFile(end));
    await holding(child);
    const { key, token } = await who(name);
    await agent.cli('kv', 'del', key);
    await child.waitForOutput(/token=\d+[^]*token=\d+/);
    const tokens = [...child.output.matchAll(/token=(\d+)/g)].map(([, text]) => Number(text));
    expect(tokens[0]).toBe(token);
    expect(tokens[1]).toBeGreaterThan(token);
    writeFileSync(end, '');
    expect(await child.exited).toMatchObject({ code: OK });
  });
});
