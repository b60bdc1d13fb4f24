import { systemClock } from '../base/clock.ts';
import type { AgentCore } from './core.ts';
import type { Service } from './service.ts';

/** Looks at the hardware, and then at the volumes, again and again: whatever events were missed. */
export class Rescan implements Service {
  readonly id = 'rescan';
  readonly #core: AgentCore;
  readonly #lookAtVolumes: () => Promise<void>;
  #periodMs: number;

  constructor(core: AgentCore, periodSeconds: number, lookAtVolumes: () => Promise<void>) {
    this.#core = core;
    this.#lookAtVolumes = lookAtVolumes;
    this.#periodMs = periodSeconds * 1000;
  }

  /** Holds from the next wait on. */
  setPeriod(seconds: number): void {
    this.#periodMs = seconds * 1000;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await systemClock.sleep(this.#periodMs, signal);
      if (signal.aborted) return;
      await this.#core.devices.scan();
      await this.#lookAtVolumes();
    }
  }
}
