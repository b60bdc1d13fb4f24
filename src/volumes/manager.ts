import { randomUUID } from 'node:crypto';
import { closest, distance } from 'fastest-levenshtein';
import { systemClock, type Clock } from '../base/clock.ts';
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import { isUuid, newId } from '../base/ids.ts';
import type { Engine } from '../engine/index.ts';
import { bootMounts, type BootVerdict } from './boot.ts';
import {
  decideAttach,
  decideDetach,
  decideMount,
  decideRemove,
  decideUnmount,
  type Decide,
} from './decide.ts';
import { DirDriver } from './drivers/dir.ts';
import { LoopDriver } from './drivers/loop.ts';
import type { HostOps } from './hostops.ts';
import { Journal } from './journal.ts';
import { LinuxHostOps } from './linux-hostops.ts';
import { Operations } from './operations.ts';
import type { OperationKind } from './planner.ts';
import { Places } from './places.ts';
import { Records } from './records.ts';
import { Recovery } from './recovery.ts';
import { specOf } from './request.ts';
import {
  OPERATION_DEADLINE_MS,
  Runner,
  type StepHook,
  type StuckOperation,
  type VolumeEvent,
} from './runner.ts';
import { Services } from './services.ts';
import type { CreateRequest, Instance, ServiceConfig, Volume, Volumes } from './volume.ts';

export interface VolumeManagerOptions {
  readonly engine: Engine;
  readonly services: readonly ServiceConfig[];
  /** Mount points are `<mountRoot>/<id>/data`. */
  readonly mountRoot: string;
  readonly bootId: string;
  /** Told after the fact, in order per volume. Must not throw. */
  readonly onEvent?: ((event: VolumeEvent) => void) | undefined;
  /** Crash tests only: called around each step. */
  readonly onStep?: StepHook | undefined;
  readonly hostOps?: HostOps | undefined;
  readonly clock?: Clock | undefined;
  /** Default: OPERATION_DEADLINE_MS. */
  readonly deadlinesMs?: Partial<Readonly<Record<OperationKind, number>>> | undefined;
}

/** After `close` has waited this long, the children of running operations are killed; recovery ends them. */
const CLOSE_WAIT_MS = 5_000;
/** How often `close` looks whether all is done. */
const CLOSE_POLL_MS = 20;

/**
 * The volumes of this host. Use: `new VolumeManager(…)`, `await recover()`, then the verbs; `close()`
 * before the engine closes. Unmounts nothing when it closes.
 */
export class VolumeManager implements Volumes {
  readonly #clock: Clock;
  readonly #bootId: string;
  readonly #services: Services;
  readonly #records: Records;
  readonly #runner: Runner;
  readonly #operations: Operations;
  readonly #recovery: Recovery;

  constructor(options: VolumeManagerOptions) {
    const { engine, bootId, mountRoot, clock = systemClock } = options;
    const hostOps = options.hostOps ?? new LinuxHostOps(clock);
    const onEvent = options.onEvent ?? (() => undefined);
    const site = { hostOps, mountRoot, bootId };
    const drivers = { dir: new DirDriver(site), loop: new LoopDriver(site) };
    const journal = new Journal(engine);
    const services = new Services(options.services);
    const records = new Records(engine);
    const onStep = options.onStep ?? (() => undefined);
    const deadlinesMs = { ...OPERATION_DEADLINE_MS, ...options.deadlinesMs };
    const runner = new Runner({ journal, drivers, bootId, clock, onEvent, onStep, deadlinesMs });
    const parts = { hostOps, records, journal, runner, drivers, services, bootId, clock };
    this.#clock = clock;
    this.#bootId = bootId;
    this.#services = services;
    this.#records = records;
    this.#runner = runner;
    this.#operations = new Operations({ ...parts, places: new Places(engine, hostOps) });
    this.#recovery = new Recovery({ ...parts, operations: this.#operations });
  }

  get services(): readonly ServiceConfig[] {
    return this.#services.list;
  }

  addService(service: ServiceConfig): void {
    this.#services.add(service);
  }

  /** Ends what an earlier run began, then takes over what the kernel has. Before any other call. */
  async recover(): Promise<void> {
    await this.#recovery.finishInterrupted();
    await this.#recovery.reconcile();
  }

  /** Notices what others mounted, unmounted, detached or deleted. Writes nothing when nothing changed. */
  async reconcile(): Promise<void> {
    await this.#recovery.reconcile();
  }

  /** Mounts every volume marked `mountAtBoot`, side by side. Resolves when each is up, has failed, or is late. */
  async mountAtBoot(deadlineMs: number): Promise<readonly BootVerdict[]> {
    const marked = (await this.list()).filter(({ spec }) => spec.mountAtBoot);
    return bootMounts(marked, (id) => this.mount(id), deadlineMs, this.#clock);
  }

  /** What needs a person: overdue in a step, or neither finished nor rolled back. */
  stuck(): readonly StuckOperation[] {
    return this.#runner.stuck();
  }

  async list(): Promise<readonly Volume[]> {
    return (await this.#records.list()).map(({ volume }) => volume);
  }

  async get(ref: string): Promise<Volume> {
    const stored = await this.#records.get(await this.#idOf(ref));
    return stored?.volume ?? this.#notFound(ref);
  }

  async create(request: CreateRequest): Promise<Volume> {
    const id = newId();
    const minted = { id, createdAt: new Date(this.#clock.wallMs()).toISOString() };
    const { spec, service } = specOf(request, this.services, minted);
    if ((await this.#records.idOfName(spec.name)) !== undefined) throw alreadyExists(spec.name);
    const fsUuid = spec.driver === 'loop' ? { fsUuid: randomUUID() } : {};
    const volume: Volume = { spec, status: { phase: 'creating', ...fsUuid, attachments: [] } };
    try {
      return await this.#operations.create(volume, service);
    } catch (thrown) {
      // Somebody else was given the name between the look and the journal.
      throw toHoldfastError(thrown).code === 'KeyExists' ? alreadyExists(spec.name) : thrown;
    }
  }

  mount(ref: string): Promise<Volume> {
    return this.#kept(ref, 'mount', decideMount);
  }

  unmount(ref: string): Promise<Volume> {
    return this.#kept(ref, 'unmount', decideUnmount);
  }

  attach(ref: string, instance: Instance, options: { force?: boolean } = {}): Promise<Volume> {
    const attachedAt = new Date(this.#clock.wallMs()).toISOString();
    const now = { bootId: this.#bootId, attachedAt };
    return this.#kept(ref, 'attach', decideAttach(instance, options.force ?? false, now));
  }

  detach(ref: string, instance?: Instance, options: { force?: boolean } = {}): Promise<Volume> {
    return this.#kept(ref, 'detach', decideDetach(instance, options.force ?? false));
  }

  async remove(ref: string, options: { force?: boolean } = {}): Promise<void> {
    const id = await this.#idOf(ref);
    const force = options.force ?? false;
    await this.#operations.run(id, 'remove', decideRemove(force), !force);
  }

  /** Begins nothing new, waits for what is under way, then kills its children: the next start recovers it. */
  async close(): Promise<void> {
    this.#operations.close();
    const untilMs = this.#clock.monoMs() + CLOSE_WAIT_MS;
    while (this.#operations.underWay > 0 && this.#clock.monoMs() < untilMs) {
      await this.#clock.sleep(CLOSE_POLL_MS);
    }
    this.#runner.abort();
  }

  async #kept(ref: string, kind: OperationKind, decide: Decide): Promise<Volume> {
    const volume = await this.#operations.run(await this.#idOf(ref), kind, decide);
    return volume ?? this.#notFound(ref);
  }

  /** An id is taken as it is: no name looks like one. @throws NotFound */
  async #idOf(ref: string): Promise<string> {
    if (isUuid(ref)) {
      const id = ref.toLowerCase();
      return (await this.#records.get(id)) ? id : this.#notFound(ref);
    }
    return (await this.#records.idOfName(ref)) ?? this.#notFound(ref);
  }

  async #notFound(ref: string): Promise<never> {
    const shown = ref.length > SHOWN_CHARS_MAX ? `${ref.slice(0, SHOWN_CHARS_MAX)}…` : ref;
    const names = (await this.list()).map(({ spec }) => spec.name);
    const nearest = names.length === 0 ? undefined : closest(ref.slice(0, SHOWN_CHARS_MAX), names);
    const near = nearest !== undefined && distance(shown, nearest) <= Math.max(2, ref.length / 3);
    throw new HoldfastError('NotFound', `no volume "${shown}" on this host`, {
      hint: near ? `did you mean "${nearest}"?` : 'see `holdfast volume ls`',
    });
  }
}

/** A name has 128 bytes at most; what is longer is shown by its beginning. */
const SHOWN_CHARS_MAX = 128;

function alreadyExists(name: string): HoldfastError {
  return new HoldfastError('AlreadyExists', `a volume named "${name}" is on this host already`, {
    hint: `names are compared without case; choose another, or look at that one: holdfast volume ls`,
  });
}
