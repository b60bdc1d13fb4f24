import { toHoldfastError, type HoldfastError } from '../base/errors.ts';
import { BOOT_MOUNTS_AT_ONCE, type Volume, type VolumeManager } from '../volumes/index.ts';
import type { AgentCore } from './core.ts';
import type { Service } from './service.ts';
import type { Notifier } from './systemd.ts';

const PREFIX = 'volumes';
/** What a start takes that mounts nothing. */
const BOOT_MARGIN_SECONDS = 30;

/** Keeps the reasons why volumes make the agent degraded: what recovery, boot and operations left undone. */
export class VolumeHealth implements Service {
  readonly id = 'volumes';
  readonly #core: AgentCore;
  readonly #volumes: VolumeManager;
  /** Boot volumes that did not come up, until they do. */
  readonly #notUp = new Map<string, HoldfastError>();
  /** Operations that are among the reasons. */
  readonly #stuck = new Set<string>();

  constructor(core: AgentCore, volumes: VolumeManager) {
    this.#core = core;
    this.#volumes = volumes;
  }

  /**
   * A store that can't be written (a full disk) keeps nobody from the volumes that are mounted. The
   * records are brought up to date by the first look that can write; an operation that could not be
   * finished is stuck until the next one on its volume.
   */
  async recover(): Promise<void> {
    try {
      await this.#volumes.recover();
      this.#core.setReason('recovery', undefined);
    } catch (thrown) {
      const { code, message } = toHoldfastError(thrown);
      this.#core.setReason('recovery', `volumes could not be recovered: ${code}: ${message}`);
    }
  }

  /** Resolves when all are up, have failed or are late, or the agent is told to stop. */
  async mountAtBoot(deadlineSeconds: number, notifier: Notifier, stop: AbortSignal): Promise<void> {
    const marked = (await this.#volumes.list()).filter(({ spec }) => spec.mountAtBoot).length;
    // So that systemd doesn't give up while we wait for a row of sick disks.
    const seconds = Math.ceil(marked / BOOT_MOUNTS_AT_ONCE) * deadlineSeconds + BOOT_MARGIN_SECONDS;
    notifier.send(`EXTEND_TIMEOUT_USEC=${seconds * 1_000_000}`);
    const stopped = new Promise<[]>((resolve) => {
      stop.addEventListener('abort', () => resolve([]), { once: true });
    });
    const mounting = this.#volumes.mountAtBoot(deadlineSeconds * 1000);
    for (const { volumeId, error } of await Promise.race([mounting, stopped])) {
      if (error) this.#notUp.set(volumeId, error);
    }
    for (const volume of await this.#volumes.list()) this.#judge(volume);
  }

  /** Follows the records as they change. */
  async run(signal: AbortSignal): Promise<void> {
    const from = this.#core.engine.revision + 1;
    await this.look();
    for await (const { changes } of this.#core.engine.watch(PREFIX, { from, signal })) {
      for (const { type, kv } of changes) {
        if (type === 'put') this.#judge(JSON.parse(Buffer.from(kv.value).toString()) as Volume);
        else this.#forget(kv.key.slice(PREFIX.length + 1));
      }
    }
  }

  /** Notices what no record tells: mounts made by others, and operations that hang. */
  async look(): Promise<void> {
    await this.#volumes.reconcile();
    this.#core.setReason('recovery', undefined);
    const volumes = await this.#volumes.list();
    for (const volume of volumes) this.#judge(volume);
    // A stuck operation with a condition is told by the record already.
    const told = new Set(
      volumes.filter(({ status }) => status.condition).map(({ spec }) => spec.id),
    );
    const untold = this.#volumes
      .stuck()
      .filter(({ volumeId, error }) => !(error && told.has(volumeId)));
    for (const id of this.#stuck) {
      if (!untold.some(({ opId }) => opId === id))
        this.#core.setReason(`operation ${id}`, undefined);
    }
    this.#stuck.clear();
    for (const { opId, operation, volumeName, step, since, error } of untold) {
      this.#stuck.add(opId);
      const where = step === undefined ? '' : ` in step ${step}`;
      const what = error ? `is stuck: ${error.message}` : `hangs${where}`;
      this.#core.setReason(
        `operation ${opId}`,
        `volume "${volumeName}": ${operation} ${what}, since ${since}`,
      );
    }
  }

  #judge({ spec, status }: Volume): void {
    if (status.mountPoint !== undefined) this.#notUp.delete(spec.id);
    const { condition } = status;
    const notUp = this.#notUp.get(spec.id);
    const why = condition ? condition.message : notUp?.message;
    const reason = why === undefined ? undefined : `volume "${spec.name}": ${why}`;
    this.#core.setReason(reasonKey(spec.id), reason);
  }

  #forget(volumeId: string): void {
    this.#notUp.delete(volumeId);
    this.#core.setReason(reasonKey(volumeId), undefined);
  }
}

function reasonKey(volumeId: string): string {
  return `volume ${volumeId}`;
}
