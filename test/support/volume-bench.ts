import { onTestFinished } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { openEngine } from '../../src/engine/index.ts';
import type { Driver, Observation, StepContext } from '../../src/volumes/drivers/driver.ts';
import { Journal } from '../../src/volumes/journal.ts';
import { LinuxHostOps } from '../../src/volumes/linux-hostops.ts';
import { Operations } from '../../src/volumes/operations.ts';
import type { Step } from '../../src/volumes/planner.ts';
import { Records } from '../../src/volumes/records.ts';
import { Recovery } from '../../src/volumes/recovery.ts';
import { OPERATION_DEADLINE_MS, Runner } from '../../src/volumes/runner.ts';
import { Services } from '../../src/volumes/services.ts';
import type { DriverName, Volume } from '../../src/volumes/volume.ts';
import { FakeClock } from './fake-clock.ts';

/** A driver whose steps hang, fail, or are done at once, as the test says. */
export class ScriptedDriver implements Driver {
  readonly name = 'dir';
  readonly privileged = new Set<never>();
  /** `<volume name> <step>`, as they began. */
  readonly ran: string[] = [];
  readonly #script = new Map<string, () => Promise<void>>();

  on(what: string, work: () => Promise<void>): void {
    this.#script.set(what, work);
  }

  /** @returns lets it go on */
  hold(what: string): () => void {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    this.on(what, () => held);
    return () => {
      this.#script.delete(what);
      release();
    };
  }

  fail(what: string): void {
    this.on(what, () => Promise.reject(new HoldfastError('HostFailed', `${what} failed`)));
  }

  works(what: string): void {
    this.#script.delete(what);
  }

  checkRoom(): Promise<void> {
    return Promise.resolve();
  }

  observe(): Promise<Observation> {
    return Promise.resolve({ path: '/d/x', present: true, devices: [], otherMounts: [] });
  }

  async run(step: Step, { volume }: StepContext): Promise<void> {
    const what = `${volume.spec.name} ${step}`;
    this.ran.push(what);
    await this.#script.get(what)?.();
  }
}

/** Everything of the manager but a real driver: steps are as the test scripts them, time stands still. */
export async function volumeBench(kind: DriverName = 'dir') {
  const engine = await openEngine({ backend: 'memory', path: '' });
  onTestFinished(() => engine.close());
  const clock = new FakeClock();
  const service = { name: 's', driver: kind, path: '/d' };
  const driver = new ScriptedDriver();
  const drivers = { dir: driver, loop: driver };
  const events: string[] = [];
  const journal = new Journal(engine);
  const runner = new Runner({
    journal,
    drivers,
    clock,
    bootId: 'b',
    deadlinesMs: OPERATION_DEADLINE_MS,
    onEvent: ({ type }) => events.push(type),
    onStep: () => undefined,
  });
  const records = new Records(engine);
  const operations = new Operations({
    records,
    journal,
    runner,
    drivers,
    clock,
    hostOps: new LinuxHostOps(clock),
    services: new Services([service]),
    places: { claim: async () => undefined, check: async () => undefined },
  });
  const parts = { records, journal, runner, operations, drivers, clock };
  const recovery = new Recovery({ ...parts, services: new Services([service]), bootId: 'b' });
  const volume = (id: string): Volume => ({
    spec: {
      id,
      name: id,
      service: 's',
      driver: kind,
      sizeBytes: 0,
      mountAtBoot: false,
      fields: {},
      createdAt: '',
    },
    status: { phase: 'creating', attachments: [] },
  });
  const create = (id: string) => operations.create(volume(id), service);
  const entries = async () => (await engine.list('journal')).kvs.length;
  return {
    engine,
    clock,
    driver,
    operations,
    runner,
    recovery,
    records,
    events,
    journal,
    volume,
    create,
    entries,
  };
}
