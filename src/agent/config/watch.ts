import { existsSync } from 'node:fs';
import { basename, dirname, isAbsolute, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { systemClock, type Clock } from '../../base/clock.ts';
import { toHoldfastError, type HoldfastError } from '../../base/errors.ts';
import type { Service } from '../service.ts';
import type { Config } from './config.ts';
import { diffConfig, type ConfigDiff } from './diff.ts';
import {
  dropInFolder,
  isDropInName,
  loadConfig,
  type LoadedConfig,
  type LoadOptions,
} from './load.ts';

/** Files are read when they have been quiet this long: editors and `cp` write in several steps. */
const QUIET_MS = 300;
/** A file that is never quiet is read after this long all the same. */
const QUIET_WAIT_MAX_MS = 5_000;

export interface ConfigWatcherOptions {
  readonly load: LoadOptions;
  /** The configuration the agent started with. */
  readonly running: Config;
  /** The files say something else now. Follow `diff.effective`; `diff.restart` lists what has to wait. */
  onChange(loaded: LoadedConfig, diff: ConfigDiff): void | Promise<void>;
  /** The files are wrong: what is in force stays so. Told once per different error. */
  onError(error: HoldfastError): void;
  readonly clock?: Clock;
}

/**
 * Follows `config.yaml` and `config.d`, also when they come into being later or are replaced by
 * rename. A file that is wrong, or half written, changes nothing.
 */
export class ConfigWatcher implements Service {
  readonly id = 'config';
  readonly #options: ConfigWatcherOptions;
  readonly #clock: Clock;
  #running: Config;
  #wanted: Config;
  #lastError = '';

  constructor(options: ConfigWatcherOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#running = options.running;
    this.#wanted = options.running;
  }

  /** @throws when the kernel has no inotify watches left, and the like: the runner tries again */
  async run(signal: AbortSignal): Promise<void> {
    const { watch } = await import('chokidar');
    const { path } = this.#options.load;
    const changes = new Changes(this.#clock);
    const watcher = watch(nearestFolder(dirname(path)), {
      ignored: (candidate: string) => !isOfInterest(candidate, path),
      ignoreInitial: true,
    });
    try {
      watcher.on('all', () => changes.note());
      watcher.on('error', (thrown) => changes.fail(thrown));
      // What changed between the agent's own reading and now has no event.
      watcher.on('ready', () => changes.note());
      while (await changes.settled(signal)) await this.#reload();
    } finally {
      await watcher.close();
    }
  }

  async #reload(): Promise<void> {
    try {
      const loaded = await loadConfig(this.#options.load);
      const recovered = this.#lastError !== '';
      this.#lastError = '';
      if (!recovered && isDeepStrictEqual(loaded.config, this.#wanted)) return;
      this.#wanted = loaded.config;
      const diff = diffConfig(this.#running, loaded.config);
      await this.#options.onChange(loaded, diff);
      this.#running = diff.effective;
    } catch (thrown) {
      const error = toHoldfastError(thrown);
      if (error.message !== this.#lastError) this.#options.onError(error);
      this.#lastError = error.message;
    }
  }
}

/** Events from the watcher, joined until there is quiet. */
class Changes {
  readonly #clock: Clock;
  #dirty = false;
  #lastAtMs = 0;
  #failure: unknown;
  #wake: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(): void {
    this.#dirty = true;
    this.#lastAtMs = this.#clock.monoMs();
    this.#wake();
  }

  fail(thrown: unknown): void {
    this.#failure = thrown;
    this.#wake();
  }

  /** True once something changed and is quiet since; false when the signal aborts. @throws what `fail` was told */
  async settled(signal: AbortSignal): Promise<boolean> {
    await this.#noted(signal);
    const startedAtMs = this.#clock.monoMs();
    for (;;) {
      if (this.#failure !== undefined) throw toHoldfastError(this.#failure);
      if (signal.aborted) return false;
      const now = this.#clock.monoMs();
      const quietAtMs = Math.min(this.#lastAtMs + QUIET_MS, startedAtMs + QUIET_WAIT_MAX_MS);
      if (now >= quietAtMs) break;
      await this.#clock.sleep(quietAtMs - now, signal);
    }
    this.#dirty = false;
    return true;
  }

  #noted(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#dirty || this.#failure !== undefined || signal.aborted) return resolve();
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#wake = () => undefined;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/** The folder itself, or else the nearest one above it that exists: inotify needs something to hold. */
function nearestFolder(folder: string): string {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

/** The two things we read, and the way down to them. */
function isOfInterest(candidate: string, configFile: string): boolean {
  const dropIns = dropInFolder(configFile);
  if (candidate === configFile || candidate === dropIns) return true;
  if (dirname(candidate) === dropIns) return isDropInName(basename(candidate));
  const down = relative(candidate, dirname(configFile));
  return !down.startsWith('..') && !isAbsolute(down);
}
