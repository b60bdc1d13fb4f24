/** Goal: a tool ends with its answer, at its deadline, at the signal, or with the agent; never later, and its words are told. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../base/errors.ts';
import { runChild } from './child.ts';

const never = (): AbortSignal => new AbortController().signal;
const run = (command: string, args: readonly string[], options: object = {}) =>
  runChild(command, args, { deadlineMs: 30_000, signal: never(), ...options });

function alive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}`)) return false;
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

describe('runChild', () => {
  test('answers with what it printed, in English, with nothing of our environment', async () => {
    process.env['HOLDFAST_TEST_SECRET'] = 'x';
    const { stdout, exitCode } = await run('env', []);
    delete process.env['HOLDFAST_TEST_SECRET'];
    expect(exitCode).toBe(0);
    expect(stdout).toContain('LC_ALL=C');
    expect(stdout).not.toContain('HOLDFAST_TEST_SECRET');
  });

  test('finds its tools without a PATH, and never in the working directory', async () => {
    const before = process.env['PATH'];
    process.env['PATH'] = '/usr/bin:/bin';
    const { stdout } = await run('sh', ['-c', 'echo "$PATH"']);
    process.env['PATH'] = before;
    expect(stdout.trim()).toBe('/usr/bin:/bin:/usr/sbin:/sbin:/usr/bin:/bin');
    expect(stdout).not.toMatch(/^:|::|:$/m);
  });

  test('arguments are words, not shell', async () => {
    const { stdout } = await run('printf', ['%s|', '$(id)', '; reboot', '']);
    expect(stdout).toBe('$(id)|; reboot||');
  });

  test('an exit code that is an answer is none of its failures', async () => {
    expect((await run('sh', ['-c', 'exit 2'], { accept: [0, 2] })).exitCode).toBe(2);
    await expect(run('sh', ['-c', 'echo wrong >&2; exit 2'])).rejects.toMatchObject({
      code: 'HostFailed',
      message: 'sh failed (exit 2): wrong',
    });
  });

  test('a full disk is told as such', async () => {
    const full = run('sh', ['-c', 'echo "fallocate: No space left on device" >&2; exit 1']);
    await expect(full).rejects.toMatchObject({ code: 'NoSpace' });
  });

  test('one that is not installed is named', async () => {
    await expect(run('no-such-tool', [])).rejects.toMatchObject({
      code: 'NotSupported',
      message: 'no-such-tool is not installed',
    });
  });

  test('is killed at its deadline', async () => {
    await expect(run('sleep', ['60'], { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: 'sleep was killed after 50 ms',
    });
  });

  test('is killed at the signal, and says why when it was told', async () => {
    const ending = new AbortController();
    const sleeping = run('sleep', ['60'], { signal: ending.signal });
    ending.abort(new HoldfastError('DeadlineExceeded', 'mount took more than 60 s'));
    await expect(sleeping).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: 'sleep was killed: mount took more than 60 s',
    });
    await expect(run('sleep', ['60'], { signal: ending.signal })).rejects.toThrow(/not started/);
    await expect(run('true', [], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'Cancelled',
    });
  });

  test('its complaints are kept to what a person reads', async () => {
    const loud = run('sh', ['-c', 'yes complaint | head -c 300000 >&2; exit 1']);
    const error = await loud.catch((thrown: unknown) => thrown as HoldfastError);
    expect((error as HoldfastError).message.length).toBeLessThan(500);
  });

  test('dies with its parent, however that dies', async () => {
    // The guard of child.ts, as collect() starts it, below a parent of our own that we can kill.
    const parent = spawn('sh', ['-c', 'setpriv --pdeathsig KILL -- sleep 60 & echo $!; wait'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    // Until it is setpriv's turn nothing guards it yet.
    await expect.poll(() => readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('sleep\n');
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => alive(pid)).toBe(false);
  });
});
