/**
 * Bringing records, journal and kernel together again: at start, and now and then while running.
 *
 * The kernel says what is attached and mounted, the journal what was under way, the record what is
 * meant to be. Nothing is mounted, unmounted or deleted here that the journal does not ask for: a
 * volume whose data is missing gets a condition that says so, and stays.
 */
import type { Clock } from '../base/clock.ts';
import { HoldfastError, messageOf, toHoldfastError } from '../base/errors.ts';
import { inParallel, within } from './deadline.ts';
import type { Driver, KernelView } from './drivers/driver.ts';
import { same, type Journal, type OpenEntry } from './journal.ts';
import type { Operations } from './operations.ts';
import { reconciled } from './outcome.ts';
import type { Records, Stored } from './records.ts';
import type { Runner } from './runner.ts';
import type { Services } from './services.ts';
import type { DriverName, Volume } from './volume.ts';

/** Volumes looked after side by side: a sick disk holds up its own, the others pass. */
const WIDTH = 8;
/** How long a start waits for one interrupted operation: then it goes on by itself, and only its volume waits. */
const FINISH_WAIT_MS = 10_000;

export interface RecoveryParts {
  readonly records: Records;
  readonly journal: Journal;
  readonly runner: Runner;
  readonly operations: Operations;
  readonly drivers: Readonly<Record<DriverName, Driver>>;
  readonly services: Services;
  readonly bootId: string;
  readonly clock: Clock;
}

export class Recovery {
  readonly #parts: RecoveryParts;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** Every operation that an earlier run began is finished or rolled back; what can be neither is stuck and says why, what is slow goes on by itself. */
  async finishInterrupted(): Promise<void> {
    const entries = await this.#parts.journal.list();
    await inParallel(entries, WIDTH, (open) => this.#finish(open));
  }

  async #finish(open: OpenEntry): Promise<void> {
    const { services, runner, operations, clock } = this.#parts;
    const { entry } = open;
    try {
      const work = operations.exclusive(entry.volumeId, entry.kind, async () => {
        const service = services.of(entry.before.spec);
        await operations.redo(open, service);
      });
      await within(
        work,
        FINISH_WAIT_MS,
        clock,
        () => new HoldfastError('DeadlineExceeded', 'late'),
      );
    } catch (thrown) {
      const error = toHoldfastError(thrown);
      // The runner knows what got as far as a step; what could not even begin is noted here.
      const known = runner.stuck().some((one) => one.opId === entry.opId);
      if (!known && error.code === 'Unavailable') runner.setStuck(open, error);
    }
  }

  /**
   * Every record says what the kernel says, as far as the volume is at rest. An unchanged one is not
   * written. Records are read before the kernel is asked: an operation that ends in between has
   * written a newer one, and the comparison with the old is given up.
   */
  async reconcile(): Promise<void> {
    const { records, operations, runner } = this.#parts;
    const resting = (await records.list()).filter(
      ({ volume }) => volume.status.phase === 'ready' && !runner.stuckOn(volume.spec.id),
    );
    const view = await operations.kernelView(false);
    await inParallel(resting, WIDTH, (stored) =>
      operations.ifIdle(stored.volume.spec.id, () => this.#compare(stored, view)),
    );
  }

  async #compare(stored: Stored, view: KernelView): Promise<void> {
    const { records, bootId, clock } = this.#parts;
    const at = new Date(clock.wallMs()).toISOString();
    const next = reconciled(stored.volume, await this.#observe(stored.volume, view), bootId, at);
    if (same(next, stored.volume)) return;
    try {
      await records.replace(stored, next);
    } catch (thrown) {
      if (toHoldfastError(thrown).code !== 'KeyModified') throw thrown;
    }
  }

  async #observe(volume: Volume, view: KernelView): Promise<Seen> {
    const { services, drivers } = this.#parts;
    const { service: name, driver } = volume.spec;
    const service = services.find(name, driver);
    if (!service) {
      const message = `the ${driver} service "${name}" is not configured`;
      return this.#asItWas(volume, { code: 'ServiceNotConfigured', message });
    }
    try {
      return await drivers[driver].observe(volume, service, view);
    } catch (thrown) {
      // Its place can't even be looked at: an I/O error, a folder without the right to enter.
      return this.#asItWas(volume, { code: 'DataMissing', message: messageOf(thrown) });
    }
  }

  /** What can't be looked at is believed to be as it was in this boot. */
  #asItWas({ status }: Volume, problem: Seen['problem']): Seen {
    if (status.bootId !== this.#parts.bootId) return { devices: [], problem };
    const { mountPoint, device } = status;
    return { devices: device === undefined ? [] : [device], mountPoint, problem };
  }
}

type Seen = Parameters<typeof reconciled>[1];
