import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import {
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
    });
    this.#core.setTarget(id, () => replicator.status());
    return { id: serviceId(id), run: (signal) => replicator.run(signal) };
  }

  #onState(change: SyncStateChange): void {
    const { target, to, error } = change;
    const reason = to === 'refused' ? refusal(change) : undefined;
    this.#core.setReason(serviceId(target), reason);
    this.#core.changed('sync');
    const fields = { target, from: change.from, to, code: error?.code, hint: error?.hint };
    this.#log[LEVELS[to] ?? 'info'](fields, sentence(change));
    if (isEvent(change)) this.#append(change);
  }

  #append(change: SyncStateChange): void {
    const { target, to, from, reason, error } = change;
    const data = { from, ...(reason && { reason }), ...(error && { error: error.toJSON() }) };
    this.#core.events
      .append({ type: `sync.${to}`, subject: target, message: sentence(change), data })
      .catch((thrown: unknown) => {
        const { code, message } = toHoldfastError(thrown);
        this.#log.warn({ target, code }, `event sync.${to} was not kept: ${message}`);
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
  const { id, type, endpoints, username, passwordFile, tls } = config;
  if (username !== undefined && passwordFile === undefined) {
    const message = `sync target ${id}: username without passwordFile`;
    const hint = 'write the password into a file of mode 0600 and name it in passwordFile';
    throw new HoldfastError('ConfigInvalid', message, { hint });
  }
  return openTarget(
    {
      id,
      type,
      endpoints,
      auth:
        username !== undefined && passwordFile !== undefined
          ? { username, password: await readSecret(passwordFile) }
          : undefined,
      tls: tls && {
        ca: tls.caFile === undefined ? undefined : await readSecretFile(tls.caFile),
        cert: tls.certFile === undefined ? undefined : await readSecretFile(tls.certFile),
        key: tls.keyFile === undefined ? undefined : await readSecretFile(tls.keyFile),
      },
    },
    place,
  );
}
