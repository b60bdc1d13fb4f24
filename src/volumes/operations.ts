import type { Clock } from '../base/clock.ts';
import { HoldfastError } from '../base/errors.ts';
import { KeyedLock } from '../base/keyed-lock.ts';
import { within } from './deadline.ts';
import type { Decide } from './decide.ts';
import type { Driver, KernelView } from './drivers/driver.ts';
import type { HostOps } from './hostops.ts';
import type { Journal, OpenEntry } from './journal.ts';
import { AT_REST, plan, type OperationKind } from './planner.ts';
import type { Places } from './places.ts';
import type { Records, Stored } from './records.ts';
import type { Runner } from './runner.ts';
import type { Services } from './services.ts';
import type { DriverName, ServiceConfig, Volume } from './volume.ts';

/** The runner kills its children at the deadline; their own error should come first. */
const GRACE_MS = 5_000;
/** Operations under way or waiting for their volume: some KiB each, and the native door takes 64 calls. */
const OPERATIONS_MAX = 256;

/** Whether it looks for data in the service's folder, or deletes it; what lets go must always be possible. */
const NEEDS_PLACE: Readonly<Record<OperationKind, boolean>> = {
  create: true,
  mount: true,
  unmount: false,
  attach: true,
  detach: false,
  remove: true,
};

export interface OperationsParts {
  readonly hostOps: HostOps;
  readonly records: Records;
  readonly journal: Journal;
  readonly runner: Runner;
  readonly drivers: Readonly<Record<DriverName, Driver>>;
  readonly services: Services;
  readonly places: Pick<Places, 'claim' | 'check'>;
  readonly clock: Clock;
}

/** One operation at a time per volume, from the look at what is there to the new record. */
export class Operations {
  readonly #parts: OperationsParts;
  readonly #locks = new KeyedLock();
  #open = 0;
  #closed = false;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /**
   * @param placed false: also when the service's folder isn't there (a forced removal)
   * @returns the record afterwards; undefined when the volume is gone
   * @throws NotFound; Unavailable when the service's folder isn't the one it was; what `decide` throws; what the steps throw (then it is rolled back or stuck)
   */
  run(
    id: string,
    kind: OperationKind,
    decide: Decide,
    placed: boolean = NEEDS_PLACE[kind],
  ): Promise<Volume | undefined> {
    return this.exclusive(id, kind, () => this.#operate(id, kind, decide, placed));
  }

  /** Writes the first record of a volume and makes its data. */
  create(volume: Volume, service: ServiceConfig): Promise<Volume> {
    return this.exclusive(volume.spec.id, 'create', async () => {
      const { journal, drivers, places } = this.#parts;
      await places.check(service);
      await drivers[service.driver].checkRoom(volume.spec, service);
      await places.claim(service);
      const steps = plan('create', service.driver, AT_REST);
      const open = await journal.begin(
        { kind: 'create', before: volume, startedAt: this.#now(), plan: steps },
        0,
      );
      return (await this.#parts.runner.carryOut(open, service, false))!;
    });
  }

  /**
   * Waits for its turn on the volume, then for the work, and for no more than the deadline of `kind`:
   * what hangs in the kernel goes on, what has not begun by then never will.
   * @throws Unavailable, DeadlineExceeded
   */
  async exclusive<T>(id: string, kind: OperationKind, work: () => Promise<T>): Promise<T> {
    const { clock, runner } = this.#parts;
    if (this.#closed) throw new HoldfastError('Unavailable', 'the agent is stopping');
    if (this.#open >= OPERATIONS_MAX) {
      const message = `${this.#open} volume operations are under way, the most this agent takes`;
      throw new HoldfastError('Unavailable', message, { hint: 'try again when some are done' });
    }
    this.#open += 1;
    let begun = false;
    let late = false;
    const turn = this.#locks.run(id, async () => {
      if (late || this.#closed) throw new HoldfastError('Cancelled', `${kind} was not begun`);
      begun = true;
      return work();
    });
    void turn.then(
      () => (this.#open -= 1),
      () => (this.#open -= 1),
    );
    return within(turn, runner.deadlinesMs[kind] + GRACE_MS, clock, () => {
      late = true;
      return this.#lateError(id, kind, begun);
    });
  }

  /** Runs `work` while nothing else is under way on the volume; not at all when something is. */
  async ifIdle(id: string, work: () => Promise<void>): Promise<void> {
    if (!this.#closed && !this.#locks.holds(id)) await this.#locks.run(id, work);
  }

  /** From here on nothing new begins. */
  close(): void {
    this.#closed = true;
  }

  get underWay(): number {
    return this.#open;
  }

  /** What the kernel has, read once. @param everywhere also in the other mount namespaces */
  async kernelView(everywhere: boolean): Promise<KernelView> {
    const { hostOps } = this.#parts;
    const [mounts, loops] = await Promise.all([hostOps.mounts(), hostOps.loops()]);
    return everywhere
      ? { mounts, loops, everywhere: await hostOps.mountsEverywhere() }
      : { mounts, loops };
  }

  /** An entry of the journal again, from its first step. Its caller holds the volume. */
  async redo(
    open: OpenEntry,
    service: ServiceConfig,
    placed: boolean = NEEDS_PLACE[open.entry.kind],
  ): Promise<Volume | undefined> {
    if (placed) await this.#parts.places.check(service);
    return this.#parts.runner.carryOut(open, service, true);
  }

  async #operate(
    id: string,
    kind: OperationKind,
    decide: Decide,
    placed: boolean,
  ): Promise<Volume | undefined> {
    const { drivers, services, journal, places } = this.#parts;
    await this.#settle(id, placed);
    const stored = await this.#find(id);
    const { volume } = stored;
    const service = services.of(volume.spec);
    if (placed) await places.check(service);
    const driver = drivers[volume.spec.driver];
    // Removing looks into every namespace: data under a mount that we don't see would be lost.
    const view = await this.kernelView(kind === 'remove' || kind === 'detach');
    const decision = decide(volume, await driver.observe(volume, service, view));
    if (decision === 'nothing') return volume;
    this.#checkPrivilege(kind, driver);
    const { facts, attachments } = decision;
    const intent = {
      kind,
      before: volume,
      startedAt: this.#now(),
      plan: plan(kind, volume.spec.driver, facts),
      ...(attachments ? { attachments } : {}),
    };
    return this.#parts.runner.carryOut(
      await journal.begin(intent, stored.revision),
      service,
      false,
    );
  }

  /** What is stuck on this volume is tried again first. @throws why it still is */
  async #settle(id: string, placed: boolean): Promise<void> {
    const { runner, services } = this.#parts;
    const open = runner.stuckOn(id);
    if (!open) return;
    const service = services.of(open.entry.before.spec);
    try {
      await this.redo(open, service, placed && NEEDS_PLACE[open.entry.kind]);
    } catch (thrown) {
      // Rolled back now: nothing stands in the way any more.
      if (runner.stuckOn(id) !== undefined) throw thrown;
    }
  }

  async #find(id: string): Promise<Stored> {
    const stored = await this.#parts.records.get(id);
    if (stored) return stored;
    throw new HoldfastError('NotFound', `there is no volume ${id} any more`);
  }

  #checkPrivilege(kind: OperationKind, driver: Driver): void {
    if (this.#parts.hostOps.privileged || !driver.privileged.has(kind)) return;
    throw new HoldfastError(
      'PermissionDenied',
      `to ${kind} a ${driver.name} volume the agent needs CAP_SYS_ADMIN, which this process lacks`,
      { hint: 'run the agent as root, or use a dir service' },
    );
  }

  #lateError(id: string, kind: OperationKind, begun: boolean): HoldfastError {
    const { runner } = this.#parts;
    const seconds = (runner.deadlinesMs[kind] + GRACE_MS) / 1000;
    const stuck = runner.stuck().find((one) => one.volumeId === id);
    const where = stuck?.step ? `: ${stuck.operation} hangs in step ${stuck.step}` : '';
    const what = begun ? `${kind} took more than` : `${kind} waited for its turn for`;
    return new HoldfastError('DeadlineExceeded', `${what} ${seconds} s${where}`, {
      hint: begun
        ? 'the kernel has not answered; it goes on, see `holdfast doctor` and dmesg'
        : 'nothing was begun; see `holdfast doctor` for what holds the volume',
    });
  }

  #now(): string {
    return new Date(this.#parts.clock.wallMs()).toISOString();
  }
}
