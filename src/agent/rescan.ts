import { together } from '../base/abort.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { Wakeup } from '../base/wakeup.ts';
import type { AgentCore } from './core.ts';
import type { Service } from './service.ts';

/** A volume's record and its loop device change in moments: one look for all of them. */
const SETTLE_MS = 500;

/**
 * Looks at the hardware, and then at the volumes, again and again, whatever events were missed; and
 * soon after a volume changed, because a mount brings a device and takes it away again.
 */
export class Rescan implements Service {
  readonly id = 'rescan';
  readonly #core: Pick<AgentCore, 'devices' | 'engine'>;
  readonly #lookAtVolumes: () => Promise<void>;
  readonly #clock: Clock;
  readonly #bell = new Wakeup();
  #periodMs: number;

  constructor(
    core: Pick<AgentCore, 'devices' | 'engine'>,
    periodSeconds: number,
    lookAtVolumes: () => Promise<void>,
    clock: Clock = systemClock,
  ) {
    this.#core = core;
    this.#lookAtVolumes = lookAtVolumes;
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
    await together(signal, [(inner) => this.#scan(inner), (inner) => this.#listen(inner)]);
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
