/**
 * Goal: a running agent follows its files however they are written, and a wrong one changes nothing,
 * is told once, and is forgiven when it is right again. Method: real files, the real watcher.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { systemClock } from '../../base/clock.ts';
import type { ConfigDiff } from './diff.ts';
import { loadConfig, type LoadOptions } from './load.ts';
import { ConfigWatcher } from './watch.ts';

/** The kernel's events, chokidar and 0.3 s of quiet, on a busy machine. */
const WAIT = { timeout: 20_000, interval: 20 };

describe('ConfigWatcher', () => {
  let folder: string;
  let options: LoadOptions;
  let diffs: ConfigDiff[];
  let errors: string[];
  /** Waits for quiet that ended: the files are read next. */
  let quiets: number;
  beforeEach(() => {
    folder = join(tempDir('config-watch'), 'etc/holdfast');
    const path = join(folder, 'config.yaml');
    options = { path, explicit: false, dirs: { stateDir: '/var/lib/holdfast' }, isRoot: false };
    [diffs, errors, quiets] = [[], [], 0];
  });

  function write(name: string, text: string): void {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** As editors and configuration management do it. */
  function replace(name: string, text: string): void {
    write(`.${name}.new`, text);
    renameSync(join(folder, `.${name}.new`), join(folder, name));
  }

  /** Starts with what the files say now; resolves when the first look begins. */
  async function follow(meanwhile: () => void = () => undefined): Promise<void> {
    const { config } = await loadConfig(options);
    meanwhile();
    const watcher = new ConfigWatcher({
      load: options,
      running: config,
      onChange: (_loaded, diff) => void diffs.push(diff),
      onError: ({ message }) => void errors.push(message.replaceAll(`${folder}/`, '')),
      clock: {
        ...systemClock,
        async sleep(ms, signal) {
          await systemClock.sleep(ms, signal);
          quiets += 1;
        },
      },
    });
    const controller = new AbortController();
    const running = watcher.run(controller.signal);
    onTestFinished(async () => {
      controller.abort();
      await running;
    });
    await vi.waitFor(() => expect(quiets).toBeGreaterThan(0), WAIT);
  }

  const level = (): unknown => diffs.at(-1)?.effective.log.level;

  it('follows a file that is written over and one that is renamed over', async () => {
    write('config.yaml', 'log: {level: info}\n');
    await follow();
    write('config.yaml', 'log: {level: warn}\n');
    await vi.waitFor(() => expect(level()).toBe('warn'), WAIT);
    replace('config.yaml', 'log: {level: debug}\n');
    await vi.waitFor(() => expect(level()).toBe('debug'), WAIT);
    expect(diffs.map(({ live, restart }) => [live, restart])).toEqual([
      [['log.level'], []],
      [['log.level'], []],
    ]);
  });

  it('sees a folder, a config.d and its files that come and go later', async () => {
    await follow();
    write('config.d/10-site.yaml', 'log: {level: error}\n');
    await vi.waitFor(() => expect(level()).toBe('error'), WAIT);
    write('config.d/20-more.yaml', 'log: {level: warn}\n');
    await vi.waitFor(() => expect(level()).toBe('warn'), WAIT);
    rmSync(join(folder, 'config.d'), { recursive: true });
    await vi.waitFor(() => expect(level()).toBe('info'), WAIT);
  });

  it('looks once more at its start, for what changed since the agent read the files', async () => {
    write('config.yaml', 'log: {level: info}\n');
    await follow(() => write('config.yaml', 'log: {level: warn}\n'));
    await vi.waitFor(() => expect(level()).toBe('warn'), WAIT);
  });

  it('keeps what holds while a file is wrong, says so once, and forgives', async () => {
    write('config.yaml', 'log: {level: info}\n');
    await follow();
    write('config.yaml', 'log: {level: loud}\n');
    await vi.waitFor(() => expect(errors).toHaveLength(1), WAIT);
    const before = quiets;
    write('config.d/site.yaml', '# nothing\n');
    await vi.waitFor(() => expect(quiets).toBeGreaterThan(before), WAIT);
    expect(diffs).toEqual([]);
    write('config.yaml', 'log: {level: info}\n');
    // Told though nothing differs: what is shown as wrong no longer is.
    await vi.waitFor(() => expect(diffs).toHaveLength(1), WAIT);
    expect([diffs[0]?.live, diffs[0]?.restart]).toEqual([[], []]);
    expect(errors).toEqual([
      expect.stringContaining('config.yaml:1:14: `log.level` must be one of'),
    ]);
    write('config.yaml', 'log: {level: loud}\n');
    await vi.waitFor(() => expect(errors).toHaveLength(2), WAIT);
  });

  it('remembers what waits for a restart', async () => {
    write('config.yaml', 'engine: {backend: sqlite}\n');
    await follow();
    write('config.yaml', 'engine: {backend: lmdb}\n');
    await vi.waitFor(() => expect(diffs).toHaveLength(1), WAIT);
    write('config.yaml', 'engine: {backend: lmdb}\nlog: {level: warn}\n');
    await vi.waitFor(() => expect(diffs).toHaveLength(2), WAIT);
    expect(diffs.map(({ live, restart }) => [live, restart])).toEqual([
      [[], ['engine.backend']],
      [['log.level'], ['engine.backend']],
    ]);
    expect(diffs[1]?.effective.engine.backend).toBe('sqlite');
  });
});
