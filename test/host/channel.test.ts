/**
 * Goal: what a command prints and how it ends comes back whole from the guest's end of the line, several at
 * once, and a line that breaks off ends all of them. Method: the guest's program on pipes, without a guest.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compiledProgram } from '../support/compiled.ts';
import { processesOf } from '../support/leaks.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Channel, type Command } from './channel.ts';

describe('the line to a guest', () => {
  let guest: ChildProcess;
  let channel: Channel;
  beforeEach(async () => {
    const program = compiledProgram('test/host/guest.ts', ['test/host/wire.ts']);
    guest = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
    channel = new Channel(Duplex.from({ readable: guest.stdout!, writable: guest.stdin! }));
    await channel.ready;
  });
  afterEach(() => void guest.kill('SIGKILL'));

  const run = (text: string) => channel.start(text).exited;

  /** One that goes on until it is killed, and its process group. */
  async function startSlow(text: string): Promise<{ command: Command; group: number }> {
    let command: Command;
    const group = await new Promise<number>((resolve) => {
      command = channel.start(`echo $$; ${text}`, (pid) => resolve(Number(pid)));
    });
    return { command: command!, group };
  }

  it('brings back output and exit code, whatever is in it', async () => {
    const odd = `printf 'a\\r\\n{"type":"exit"}\\n\\303\\274'; echo no >&2; exit 7`;
    expect(await run(odd)).toEqual({
      code: 7,
      stdout: 'a\r\n{"type":"exit"}\nü',
      stderr: 'no\n',
    });
    expect((await run('head -c 3000000 /dev/zero'))!.stdout.length).toBe(3_000_000);
    expect((await run('kill -TERM $$'))!.code).toBe(143);
    expect((await run('no-such-command'))!.code).toBe(127);
  });

  it('runs several at once, and kills one with all that it started', async () => {
    const folder = tempDir('channel');
    const { command, group } = await startSlow(`cd '${folder}'; sleep 600 | cat`);
    const [one, two] = await Promise.all([run('echo one'), run('echo two')]);
    expect([one!.stdout, two!.stdout]).toEqual(['one\n', 'two\n']);
    command.kill();
    expect(await command.exited).toEqual({ code: 137, stdout: `${group}\n`, stderr: '' });
    await expect.poll(() => processesOf(folder)).toEqual([]);
  });

  it('waits for no daemon that keeps the pipes', async () => {
    const daemon = await run('setsid sleep 600 & echo $!');
    expect(daemon).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\n$/), stderr: '' });
    process.kill(Number(daemon!.stdout), 'SIGKILL');
  });

  it('tells those that run when the line breaks off', async () => {
    const { command, group } = await startSlow('exec sleep 600');
    guest.kill('SIGKILL');
    expect(await command.exited).toBe(undefined);
    process.kill(-group, 'SIGKILL');
  });
});
