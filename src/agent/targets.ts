import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import {
  logHolder,
  openTarget,
  Replicator,
  type Place,
  type ReplicaTarget,
  type SyncStateChange,
} from '../sync/index.ts';
import { readSecret, readSecretFile, type SyncTargetConfig } from './config/index.ts';
import type { AgentCore } from './core.ts';
import type { Service, ServiceRunner } from './service.ts';

/** What Targets uses of the agent. */
export type TargetsCore = Pick<
  AgentCore,
  'engine' | 'identity' | 'events' | 'changed' | 'setReason' | 'setTarget'
>;

/** Runs one replicator per configured target, and follows the configuration. */
export class Targets {
  readonly #core: TargetsCore;
  readonly #runner: ServiceRunner;
  readonly #log: Logger;
  readonly #root: string;
  readonly #running = new Map<string, SyncTargetConfig>();

  constructor(core: TargetsCore, runner: ServiceRunner, log: Logger, root: string) {
    this.#core = core;
    this.#runner = runner;
    this.#log = log;
    this.#root = root;
  }

  /** Stops what is no longer wanted, or wanted otherwise, and starts the rest; waits for no target. */
  async apply(wanted: readonly SyncTargetConfig[]): Promise<void> {
    const unwanted = [...this.#running.values()].filter(
      (config) => !wanted.some((other) => isDeepStrictEqual(other, config)),
    );
    await Promise.all(unwanted.map(({ id }) => this.#stop(id)));
    for (const { id } of unwanted) {
      // Nobody waits any more for what only it had to read. One that is only asked otherwise still does.
      if (wanted.every((other) => other.id !== id))
        this.#core.engine.hold(logHolder(id), undefined);
    }
    for (const config of wanted) {
      if (this.#running.has(config.id)) continue;
      this.#running.set(config.id, config);
      this.#runner.start(this.#service(config));
    }
  }

  async #stop(id: string): Promise<void> {
    await this.#runner.stop(serviceId(id));
    this.#core.setTarget(id, undefined);
    this.#core.setReason(serviceId(id), undefined);
    this.#running.delete(id);
  }

  #service(config: SyncTargetConfig): Service {
    const { id, type, endpoints } = config;
    const { engine, identity } = this.#core;
    const place = { root: this.#root, replicaId: identity.replicaId };
    const replicator = new Replicator({
      engine,
      target: { id, type, endpoints, open: () => openConfigured(config, place) },
      onState: (change) => this.#onState(change),
      onParked: (key, error) => this.#onParked(id, key, error),
    });
    this.#core.setTarget(id, () => replicator.status());
    return { id: serviceId(id), run: (signal) => replicator.run(signal) };
  }

  #onState(change: SyncStateChange): void {
    const { target, from, to, reason, error } = change;
    this.#core.setReason(serviceId(target), to === 'refused' ? refusal(change) : undefined);
    this.#core.changed('sync');
    const fields = { target, from, to, code: error?.code, hint: error?.hint };
    this.#log[LEVELS[to] ?? 'info'](fields, sentence(change));
    if (!isEvent(change)) return;
    const data = { from, ...(reason && { reason }), ...(error && { error: error.toJSON() }) };
    this.#append({ type: `sync.${to}`, subject: target, message: sentence(change), data });
  }

  #onParked(target: string, key: string, error: HoldfastError): void {
    const message = `sync target ${target} will not take ${key}: ${error.message}`;
    this.#core.changed('sync');
    this.#log.warn({ target, key, code: error.code, hint: error.hint }, message);
    const data = { key, error: error.toJSON() };
    this.#append({ type: 'sync.parked', subject: target, message, data });
  }

  #append(event: Parameters<TargetsCore['events']['append']>[0]): void {
    this.#core.events.append(event).catch((thrown: unknown) => {
      const { code, message } = toHoldfastError(thrown);
      const { type, subject } = event;
      this.#log.warn({ target: subject, code }, `event ${type} was not kept: ${message}`);
    });
  }
}

const LEVELS: Partial<Record<SyncStateChange['to'], 'warn' | 'error'>> = {
  offline: 'warn',
  refused: 'error',
};

/**
 * An event is a revision of the engine. A slow target goes between `behind` and `current` for ever,
 * and every start and stop shows as an event of the agent already.
 */
function isEvent({ from, to }: SyncStateChange): boolean {
  if (to === 'current') return from !== 'behind';
  return to === 'comparing' || to === 'offline' || to === 'refused';
}

function sentence({ target, to, reason, error }: SyncStateChange): string {
  const why = error?.message ?? reason;
  return `sync target ${target} is ${to}${why === undefined ? '' : `: ${why}`}`;
}

function refusal(change: SyncStateChange): string {
  const hint = change.error?.hint;
  return hint === undefined ? sentence(change) : `${sentence(change)}; ${hint}`;
}

function serviceId(target: string): string {
  return `sync.${target}`;
}

/** Files are read at each connection: a new password or certificate needs no restart. */
async function openConfigured(config: SyncTargetConfig, place: Place): Promise<ReplicaTarget> {
  const { id, type, endpoints } = config;
  const tls = config.tls && {
    ca: await readIfNamed(config.tls.caFile),
    cert: await readIfNamed(config.tls.certFile),
    key: await readIfNamed(config.tls.keyFile),
  };
  return openTarget({ id, type, endpoints, auth: await readLogin(config), tls }, place);
}

async function readLogin({ id, username, passwordFile }: SyncTargetConfig) {
  if (username === undefined) return undefined;
  if (passwordFile === undefined) {
    const message = `sync target ${id}: username without passwordFile`;
    const hint = 'write the password into a file of mode 0600 and name it in passwordFile';
    throw new HoldfastError('ConfigInvalid', message, { hint });
  }
  return { username, password: await readSecret(passwordFile) };
}

async function readIfNamed(file: string | undefined): Promise<Buffer | undefined> {
  return file === undefined ? undefined : readSecretFile(file);
}
