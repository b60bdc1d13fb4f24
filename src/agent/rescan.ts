import { together } from '../base/abort.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { Wakeup } from '../base/wakeup.ts';
import type { AgentCore } from './core.ts';
import type { Service } from './service.ts';

/** A volume's record and its loop device change in moments: one look for all of them. */
const SETTLE_MS = 500;
/** A disk comes with its partitions, and its kernel says so within a few milliseconds. */
const HINT_SETTLE_MS = 10;
/** In a storm of hints: a scan takes some 10 ms on a small host, and others want to work too. */
const HINTS_APART_MS = 100;

/** Calls back when the hardware may have changed. @returns what stops it */
export type WatchHardware = (hint: () => void) => () => void;

/**
 * Looks at the hardware when the kernel says that it changed; and at the hardware, and then at the volumes, again
 * and again, whatever was missed, and soon after a volume changed, because a mount brings a device and takes it
 * away again.
 */
export class Rescan implements Service {
  readonly id = 'rescan';
  readonly #core: Pick<AgentCore, 'devices' | 'engine'>;
  readonly #lookAtVolumes: () => Promise<void>;
  readonly #watchHardware: WatchHardware;
  readonly #clock: Clock;
  readonly #bell = new Wakeup();
  readonly #hints = new Wakeup();
  #periodMs: number;

  constructor(
    core: Pick<AgentCore, 'devices' | 'engine'>,
    periodSeconds: number,
    lookAtVolumes: () => Promise<void>,
    watchHardware: WatchHardware,
    clock: Clock = systemClock,
  ) {
    this.#core = core;
    this.#lookAtVolumes = lookAtVolumes;
    this.#watchHardware = watchHardware;
    this.#clock = clock;
    this.#periodMs = periodSeconds * 1000;
  }

  /** Holds from the next wait on. */
  setPeriod(seconds: number): void {
    this.#periodMs = seconds * 1000;
  }

  async run(signal: AbortSignal): Promise<void> {
    // The boot volumes were mounted after the first scan.
    this.#bell.ring();
    const stop = this.#watchHardware(() => this.#hints.ring());
    try {
      await together(signal, [
        (inner) => this.#scan(inner),
        (inner) => this.#listen(inner),
        (inner) => this.#followHints(inner),
      ]);
    } finally {
      stop();
    }
  }

  async #followHints(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#hints.wait(undefined, this.#clock, signal);
      await this.#clock.sleep(HINT_SETTLE_MS, signal);
      // What rang meanwhile is answered by this very look.
      await this.#hints.wait(0, this.#clock, signal);
      if (signal.aborted) return;
      const events = await this.#core.devices.scan();
      if (events.length > 0) this.#bell.ring();
      await this.#clock.sleep(HINTS_APART_MS, signal);
    }
  }

  async #scan(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#bell.wait(this.#periodMs, this.#clock, signal);
      await this.#clock.sleep(SETTLE_MS, signal);
      // What rang meanwhile is answered by this very look.
      await this.#bell.wait(0, this.#clock, signal);
      if (signal.aborted) return;
      await this.#core.devices.scan();
      await this.#lookAtVolumes();
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const changes = this.#core.engine.watch('volumes', { signal })[Symbol.asyncIterator]();
    while (!(await changes.next()).done) this.#bell.ring();
  }
}
