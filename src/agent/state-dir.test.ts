/** Goal: a state folder that is not ours, newer, in use or unwritable is refused untouched. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { StateDir, writeDurably } from './state-dir.ts';

describe('StateDir.open', () => {
  it('makes the folder private and marks it; opening again in a new process would find it so', async () => {
    const path = join(tempDir('state'), 'deep/er');
    const state = await StateDir.open(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(join(path, 'holdfast.json'), 'utf8'))).toEqual({ format: 1 });
    expect([state.enginePath, state.mountRoot]).toEqual([
      join(path, 'engine'),
      join(path, 'mounts'),
    ]);
  });

  it.each([
    ['newer', '{"format":2}', /format 2.*up to 1/],
    ['somebody else’s', '{"name":"x"}', /not a marker/],
    ['cut short', '{"form', /not a marker/],
  ])('refuses one that is %s', async (_, marker, message) => {
    const path = tempDir('state');
    writeFileSync(join(path, 'holdfast.json'), marker);
    await expect(StateDir.open(path)).rejects.toMatchObject({ code: 'StateMismatch', message });
    expect(readFileSync(join(path, 'holdfast.json'), 'utf8')).toBe(marker);
  });

  it('refuses a file in its place', async () => {
    const path = join(tempDir('state'), 'file');
    writeFileSync(path, 'x');
    await expect(StateDir.open(path)).rejects.toMatchObject({ code: 'StateMismatch' });
  });

  it('names the pid of the agent that has it', async () => {
    const path = tempDir('state');
    const lock = join(path, 'agent.lock');
    const script = `echo $$ > ${lock}; echo held; exec sleep 60`;
    const other = spawn('flock', ['--no-fork', lock, 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void other.kill('SIGKILL'));
    await once(other.stdout, 'data');
    await expect(StateDir.open(path)).rejects.toMatchObject({
      code: 'Locked',
      message: expect.stringContaining(`pid ${other.pid}`) as string,
    });
  });
});

describe('writeDurably', () => {
  it('replaces the file whole and leaves no temporary one', async () => {
    const path = tempDir('durable');
    mkdirSync(join(path, 'sub'));
    await writeDurably(join(path, 'sub/f'), 'old');
    await writeDurably(join(path, 'sub/f'), 'new');
    expect(readFileSync(join(path, 'sub/f'), 'utf8')).toBe('new');
    expect(readdirSync(join(path, 'sub'))).toEqual(['f']);
  });
});
