import type { Clock } from '../base/clock.ts';
import { HoldfastError, isErrorCode, toHoldfastError } from '../base/errors.ts';
import type { Driver, StepContext } from './drivers/driver.ts';
import type { Journal, JournalEntry, OpenEntry } from './journal.ts';
import { rolledBack, stuckAs, succeeded } from './outcome.ts';
import type { OperationKind, Step } from './planner.ts';
import type { DriverName, ServiceConfig, Volume } from './volume.ts';

/** How long the children of one operation may work; a hung mount(2) is not a child and may last longer. */
export const OPERATION_DEADLINE_MS: Readonly<Record<OperationKind, number>> = {
  // fallocate and mkfs of terabytes.
  create: 30 * 60_000,
  mount: 60_000,
  unmount: 60_000,
  attach: 60_000,
  detach: 60_000,
  // Deleting millions of files.
  remove: 60 * 60_000,
};

const DONE: Readonly<Record<OperationKind, string>> = {
  create: 'created',
  mount: 'mounted',
  unmount: 'unmounted',
  attach: 'attached',
  detach: 'detached',
  remove: 'removed',
};

export type StepHook = (
  operation: OperationKind,
  step: Step,
  when: 'before' | 'after',
) => void | Promise<void>;

export interface VolumeEvent {
  /** e.g. `volume.created` */
  readonly type: string;
  /** The volume's id. */
  readonly subject: string;
  readonly message: string;
}

export interface StuckOperation {
  readonly opId: string;
  readonly operation: OperationKind;
  readonly volumeId: string;
  readonly volumeName: string;
  /** The step it is in, while it runs. */
  readonly step?: Step;
  readonly since: string;
  /** Why it cannot go on; absent while it runs past its deadline. */
  readonly error?: HoldfastError;
}

export interface RunnerOptions {
  readonly journal: Journal;
  readonly drivers: Readonly<Record<DriverName, Driver>>;
  readonly bootId: string;
  readonly clock: Clock;
  readonly onEvent: (event: VolumeEvent) => void;
  readonly onStep: StepHook;
  readonly deadlinesMs: Readonly<Record<OperationKind, number>>;
}

interface Running {
  readonly open: OpenEntry;
  readonly overdueAtMs: number;
  /** Aborted with the error that its children and next steps end with. */
  readonly ending: AbortController;
  step?: Step;
}

/** Carries journaled operations out: forward, or back. Takes no locks: its caller holds the volume's. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #running = new Map<string, Running>();
  /** Volume id -> the operation that could neither finish nor be rolled back. */
  readonly #stuck = new Map<string, { readonly open: OpenEntry; readonly error: HoldfastError }>();
  #stopped = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get deadlinesMs(): Readonly<Record<OperationKind, number>> {
    return this.#options.deadlinesMs;
  }

  /** @returns the record afterwards; undefined when the volume is gone. @throws why it failed; it is rolled back or stuck then */
  async carryOut(
    open: OpenEntry,
    service: ServiceConfig,
    redo: boolean,
  ): Promise<Volume | undefined> {
    const { entry } = open;
    const { clock } = this.#options;
    const limitMs = this.deadlinesMs[entry.kind];
    const ending = new AbortController();
    if (this.#stopped) ending.abort(stopping(entry));
    const context: StepContext = {
      kind: entry.kind,
      volume: open.stored.volume,
      service,
      redo,
      signal: ending.signal,
      found: {},
    };
    const running: Running = { open, overdueAtMs: clock.monoMs() + limitMs, ending };
    this.#running.set(entry.opId, running);
    // Not AbortSignal.any with AbortSignal.timeout: on Node 20 the collector takes the timer away.
    const timer = new AbortController();
    void clock.sleep(limitMs, timer.signal).then(() => {
      if (!timer.signal.aborted) ending.abort(overdue(entry, limitMs));
    });
    try {
      if (entry.direction === 'back')
        return await this.#rollBack(open, context, running, lastError(open));
      return await this.#forward(open, context, running);
    } finally {
      timer.abort();
      this.#running.delete(entry.opId);
    }
  }

  async #forward(
    open: OpenEntry,
    context: StepContext,
    running: Running,
  ): Promise<Volume | undefined> {
    const { entry } = open;
    let returnable = true;
    try {
      for (const step of entry.steps) {
        if (step === entry.noReturn) returnable = false;
        if (step === 'record') continue;
        context.signal.throwIfAborted();
        await this.#step(step, context, running);
      }
    } catch (thrown) {
      // An interrupted remove was acknowledged: it goes forward or waits for a person, never back.
      const forwardOnly = !returnable || (context.redo && entry.kind === 'remove');
      if (forwardOnly) throw await this.#giveUp(open, thrown, 'forward');
      await this.#rollBack(open, context, running, thrown);
      throw thrown;
    }
    const after = succeeded(entry, open.stored.volume, context.found, this.#options.bootId);
    await this.#record(open, after, running);
    this.#emit(
      `volume.${DONE[entry.kind]}`,
      open,
      `volume "${entry.before.spec.name}" ${DONE[entry.kind]}`,
    );
    return after;
  }

  async #rollBack(
    open: OpenEntry,
    context: StepContext,
    running: Running,
    cause: unknown,
  ): Promise<Volume | undefined> {
    const { entry } = open;
    try {
      for (const step of entry.undo) {
        await this.#step(step, context, running);
      }
    } catch (thrown) {
      throw await this.#giveUp(open, thrown, 'back');
    }
    const after = rolledBack(entry, cause, this.#now());
    await this.#record(open, after, running);
    this.#emit(
      'volume.rolled-back',
      open,
      `${entry.kind} of "${entry.before.spec.name}" was rolled back: ${toHoldfastError(cause).message}`,
    );
    return after;
  }

  async #step(step: Step, context: StepContext, running: Running): Promise<void> {
    running.step = step;
    await this.#options.onStep(context.kind, step, 'before');
    await this.#driver(running.open).run(step, context);
    await this.#options.onStep(context.kind, step, 'after');
  }

  async #record(open: OpenEntry, after: Volume | undefined, running: Running): Promise<void> {
    const { kind } = open.entry;
    running.step = 'record';
    await this.#options.onStep(kind, 'record', 'before');
    try {
      await this.#options.journal.end(open, after);
    } catch (thrown) {
      // The engine refused. Entry and record are as they were, and the entry will be redone.
      this.#stuck.set(open.entry.volumeId, { open, error: toHoldfastError(thrown) });
      throw thrown;
    }
    this.#stuck.delete(open.entry.volumeId);
    await this.#options.onStep(kind, 'record', 'after');
  }

  async #giveUp(
    open: OpenEntry,
    thrown: unknown,
    direction: JournalEntry['direction'],
  ): Promise<HoldfastError> {
    const error = toHoldfastError(thrown);
    const { entry } = open;
    const volume = stuckAs(entry, open.stored.volume, error, this.#now());
    let kept = open;
    try {
      kept = await this.#options.journal.fail(open, volume, direction);
    } catch {
      // The engine is down as well: the entry as first written still leads to the same recovery.
    }
    this.#stuck.set(entry.volumeId, { open: kept, error });
    this.#emit(
      'volume.stuck',
      open,
      `${entry.kind} of "${entry.before.spec.name}" can neither finish nor be rolled back: ${error.message}`,
    );
    return new HoldfastError(error.code, error.message, {
      cause: error,
      hint:
        error.hint ??
        'see what is stuck with `holdfast doctor`; it is tried again by the next operation on the volume',
    });
  }

  /** The operation of this volume that waits to be tried again, if any. */
  stuckOn(volumeId: string): OpenEntry | undefined {
    return this.#stuck.get(volumeId)?.open;
  }

  setStuck(open: OpenEntry, error: HoldfastError): void {
    this.#stuck.set(open.entry.volumeId, { open, error });
  }

  stuck(): StuckOperation[] {
    const nowMs = this.#options.clock.monoMs();
    const late = [...this.#running.values()].filter((running) => running.overdueAtMs < nowMs);
    const waiting = [...this.#stuck.values()].filter(
      ({ open }) => !this.#running.has(open.entry.opId),
    );
    return [
      ...late.map(({ open, step }) => describe(open, { step })),
      ...waiting.map(({ open, error }) => describe(open, { error })),
    ];
  }

  get running(): number {
    return this.#running.size;
  }

  /** Kills the children of running operations; what they leave is recovered at the next start. */
  abort(): void {
    this.#stopped = true;
    for (const { ending, open } of this.#running.values()) ending.abort(stopping(open.entry));
  }

  #emit(type: string, { entry }: OpenEntry, message: string): void {
    this.#options.onEvent({ type, subject: entry.volumeId, message });
  }

  #driver({ entry }: OpenEntry): Driver {
    return this.#options.drivers[entry.before.spec.driver];
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }
}

function overdue({ kind, before }: JournalEntry, limitMs: number): HoldfastError {
  const message = `${kind} of volume "${before.spec.name}" took more than ${limitMs / 1000} s`;
  return new HoldfastError('DeadlineExceeded', message);
}

function stopping({ kind, before }: JournalEntry): HoldfastError {
  const message = `${kind} of volume "${before.spec.name}" was broken off: the agent is stopping`;
  return new HoldfastError('Cancelled', message);
}

function describe(
  { entry }: OpenEntry,
  extra: Pick<StuckOperation, 'step' | 'error'>,
): StuckOperation {
  return {
    opId: entry.opId,
    operation: entry.kind,
    volumeId: entry.volumeId,
    volumeName: entry.before.spec.name,
    since: entry.startedAt,
    ...extra,
  };
}

function lastError({ stored }: OpenEntry): HoldfastError {
  const { condition } = stored.volume.status;
  const code = isErrorCode(condition?.code) ? condition.code : 'HostFailed';
  return new HoldfastError(code, condition?.message ?? 'an earlier attempt failed');
}
