import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { messageOf } from '../base/errors.ts';
import { openTarget, Replicator, type SyncStatus } from '../sync/index.ts';
import { readSecret, type SyncTargetConfig } from './config/index.ts';
import type { AgentCore } from './core.ts';
import type { Service, ServiceRunner } from './service.ts';

/** Runs one replicator per configured target, and follows the configuration. */
export class Targets {
  readonly #core: AgentCore;
  readonly #runner: ServiceRunner;
  readonly #log: Logger;
  readonly #root: string;
  readonly #running = new Map<string, SyncTargetConfig>();

  constructor(core: AgentCore, runner: ServiceRunner, log: Logger, root: string) {
    this.#core = core;
    this.#runner = runner;
    this.#log = log;
    this.#root = root;
  }

  async apply(wanted: readonly SyncTargetConfig[]): Promise<void> {
    for (const [id, config] of this.#running) {
      if (wanted.some((other) => isDeepStrictEqual(other, config))) continue;
      await this.#runner.stop(serviceId(id));
      this.#core.setTarget(id, undefined);
      this.#core.setReason(serviceId(id), undefined);
      this.#running.delete(id);
    }
    for (const config of wanted) {
      if (this.#running.has(config.id)) continue;
      this.#running.set(config.id, config);
      this.#runner.start(this.#service(config));
    }
  }
}

function serviceId(target: string): string {
  return `sync.${target}`;
}
