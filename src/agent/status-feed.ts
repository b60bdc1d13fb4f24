import type { Logger } from 'pino';
import { readSecret, type MqttConfig } from './config/index.ts';
import type { AgentCore } from './core.ts';
import type { ServiceRunner } from './service.ts';

const SERVICE = 'mqtt';

/** Runs the MQTT feed when one is configured, and follows the configuration. */
export class StatusFeed {
  readonly #core: AgentCore;
  readonly #runner: ServiceRunner;
  readonly #log: Logger;

  constructor(core: AgentCore, runner: ServiceRunner, log: Logger) {
    this.#core = core;
    this.#runner = runner;
    this.#log = log;
  }

  /** @param config undefined = no feed */
  async apply(config: MqttConfig | undefined): Promise<void> {
    await this.#runner.stop(SERVICE);
    this.#core.setReason(SERVICE, undefined);
    this.#core.setFeed(undefined);
    if (config === undefined) return;
    // Only an agent with a feed pays for it.
    const { MqttFeed } = await import('./faces/mqtt/index.ts');
    const { passwordFile, caFile } = config;
    const read = async (file: string | undefined) =>
      file === undefined ? undefined : readSecret(file);
    const feed = new MqttFeed({
      agent: this.#core,
      config,
      readPassword: () => read(passwordFile),
      readCa: () => read(caFile),
      onState: ({ to, error }) => {
        const why = [error?.message, error?.hint].filter((text) => text !== undefined).join('; ');
        this.#core.setFeed({ state: to, ...(why === '' ? {} : { lastError: why }) });
        this.#core.setReason(SERVICE, to === 'refused' ? `MQTT refused: ${why}` : undefined);
        const level = to === 'refused' ? 'error' : to === 'offline' ? 'warn' : 'info';
        this.#log[level]({ code: error?.code }, `MQTT ${to}${why === '' ? '' : `: ${why}`}`);
      },
    });
    this.#runner.start(feed);
  }
}
