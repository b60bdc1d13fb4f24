import type { Logger } from 'pino';
import { Backoff } from '../base/backoff.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { toHoldfastError } from '../base/errors.ts';

/** One running thing. Constructors do nothing; `run` works until the signal aborts, then returns. */
export interface Service {
  readonly id: string;
  /** A rejection makes the runner start it again, with backoff. */
  run(signal: AbortSignal): Promise<void>;
}

const RESTART_FIRST_MS = 500;
const RESTART_MAX_MS = 60_000;
/** A run this long was healthy: the next failure starts from the first wait again. */
const HEALTHY_AFTER_MS = 60_000;

export interface ServiceHealth {
  readonly id: string;
  readonly running: boolean;
  readonly restarts: number;
  readonly lastError?: string;
}

/** Keeps services running until `stop`: one that fails is restarted alone, the others don't notice. */
export class ServiceRunner {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #stopped = false;

  constructor(log: Logger, clock: Clock = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  start(service: Service): void {
    // A change of configuration that was under way when the agent was told to stop.
    if (this.#stopped) return;
    if (this.#entries.has(service.id)) throw new Error(`service ${service.id} runs already`);
    const entry: Entry = { controller: new AbortController(), restarts: 0, running: false };
    this.#entries.set(service.id, entry);
    entry.done = this.#keepRunning(service, entry);
  }

  /** Resolves when the service has returned. Unknown ids are fine. */
  async stop(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry) return;
    entry.controller.abort();
    await entry.done;
    this.#entries.delete(id);
  }

  /** For good: what is started from here on never runs. */
  async stopAll(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#entries.keys()].map((id) => this.stop(id)));
  }

  health(): ServiceHealth[] {
    return [...this.#entries].map(([id, { running, restarts, lastError }]) => ({
      id,
      running,
      restarts,
      ...(lastError === undefined ? {} : { lastError }),
    }));
  }

  async #keepRunning(service: Service, entry: Entry): Promise<void> {
    const { signal } = entry.controller;
    const backoff = new Backoff(RESTART_FIRST_MS, RESTART_MAX_MS);
    while (!signal.aborted) {
      const startedAt = this.#clock.monoMs();
      entry.running = true;
      try {
        await service.run(signal);
        if (signal.aborted) break;
        throw new Error('ended though nobody asked it to');
      } catch (thrown) {
        if (signal.aborted) break;
        entry.running = false;
        entry.restarts += 1;
        const error = toHoldfastError(thrown);
        entry.lastError = error.message;
        if (this.#clock.monoMs() - startedAt > HEALTHY_AFTER_MS) backoff.reset();
        const waitMs = backoff.next();
        this.#log.error(
          { service: service.id, code: error.code, waitMs, err: error },
          'service failed; restarting it',
        );
        await this.#clock.sleep(waitMs, signal);
      }
    }
    entry.running = false;
  }
}

interface Entry {
  readonly controller: AbortController;
  restarts: number;
  running: boolean;
  lastError?: string;
  done?: Promise<void>;
}
