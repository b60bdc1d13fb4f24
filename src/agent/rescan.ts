import type { Logger } from 'pino';
import { systemClock } from '../base/clock.ts';
import type { DeviceEvent } from '../devices/index.ts';
import type { AgentCore } from './core.ts';
import type { Service } from './service.ts';

/** Looks at the hardware again and again: the scan is the truth, whatever events were missed. */
export class Rescan implements Service {
  readonly id = 'devices';
  readonly #core: AgentCore;
  readonly #log: Logger;
  #periodMs: number;

  constructor(core: AgentCore, log: Logger, periodSeconds: number) {
    this.#core = core;
    this.#log = log;
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
    }
  }

  /** What a scan led to, whoever asked for it; the registry calls this. */
  async tell({ type, device }: DeviceEvent): Promise<void> {
    this.#log.info({ device: device.id, name: device.name }, `device ${type}`);
    await this.#core.events.append({
      type: `device.${type}`,
      subject: device.id,
      message: `${device.path} ${type}`,
    });
  }
}
