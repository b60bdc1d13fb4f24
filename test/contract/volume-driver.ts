/**
 * The contract of a volume driver as tests: what src/volumes/drivers/driver.ts and the planner promise,
 * held against any driver on the real host. `volume-driver.test.ts` runs it.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '../../src/base/ids.ts';
import type {
  Driver,
  DriverSite,
  Observation,
  StepFindings,
} from '../../src/volumes/drivers/driver.ts';
import type { MountEntry } from '../../src/devices/index.ts';
import { LinuxHostOps } from '../../src/volumes/linux-hostops.ts';
import {
  AT_REST,
  OPERATION_KINDS,
  plan,
  stepsOf,
  undoStepsOf,
  type OperationKind,
  type PlanFacts,
  type Step,
} from '../../src/volumes/planner.ts';
import type { ServiceConfig, Volume, VolumeSpec } from '../../src/volumes/volume.ts';
import { tempDir } from '../support/temp-dir.ts';

const BOOT_ID = 'this-boot';

export interface DriverShape {
  readonly make: (site: DriverSite) => Driver;
  readonly spec: Pick<VolumeSpec, 'driver' | 'sizeBytes' | 'fsType' | 'preallocate'>;
  readonly service?: Partial<ServiceConfig>;
}

/** One volume on one driver, taken through operations step by step; records are kept as `record` would. */
export class DriverBench {
  readonly hostOps = new LinuxHostOps();
  readonly folder = tempDir('driver');
  readonly mountRoot = path.join(this.folder, 'mounts');
  readonly driver: Driver;
  readonly service: ServiceConfig;
  volume: Volume;

  constructor({ make, spec, service }: DriverShape) {
    this.driver = make({ hostOps: this.hostOps, mountRoot: this.mountRoot, bootId: BOOT_ID });
    this.service = {
      name: 's',
      driver: spec.driver,
      path: path.join(this.folder, 's'),
      ...service,
    };
    this.volume = {
      spec: {
        id: newId(),
        name: 'v',
        service: 's',
        mountAtBoot: false,
        fields: {},
        createdAt: '2026-01-01T00:00:00.000Z',
        ...spec,
      },
      status: {
        phase: 'creating',
        ...(spec.driver === 'loop' ? { fsUuid: randomUUID() } : {}),
        attachments: [],
      },
    };
  }

  get id(): string {
    return this.volume.spec.id;
  }

  /** The image or directory. */
  get data(): string {
    return path.join(
      this.service.path,
      this.volume.spec.driver === 'loop' ? `${this.id}.img` : this.id,
    );
  }

  get target(): string {
    return path.join(this.mountRoot, this.id, 'data');
  }

  /** The steps in order, each `times` times; a repeated one as after a crash. */
  async steps(kind: OperationKind, steps: readonly Step[], redo = false, times = 1): Promise<void> {
    const found: StepFindings = {};
    const { signal } = new AbortController();
    for (const step of steps.filter((one) => one !== 'record')) {
      // The one step that is redone only together with the step before it, on a new image.
      const runs = step === 'format' ? 1 : times;
      for (let time = 0; time < runs; time += 1) {
        const context = { kind, service: this.service, signal, found, redo: redo || time > 0 };
        await this.driver.run(step, { ...context, volume: this.volume });
      }
    }
    this.#record(found);
  }

  async operate(kind: OperationKind, facts: Partial<PlanFacts> = {}, times = 1): Promise<void> {
    const { driver } = this.volume.spec;
    await this.steps(kind, plan(kind, driver, { ...AT_REST, ...facts }).steps, false, times);
  }

  async observe(): Promise<Observation> {
    const view = {
      mounts: await this.hostOps.mounts(),
      loops: await this.hostOps.loops(),
      everywhere: await this.hostOps.mountsEverywhere(),
    };
    return this.driver.observe(this.volume, this.service, view);
  }

  /** Leaves nothing, whatever the test did. */
  async clean(): Promise<void> {
    const loops = await this.hostOps.loops();
    const ours = loops.filter(({ backingFile }) => path.basename(backingFile) === `${this.id}.img`);
    const isOurs = ({ major, minor }: MountEntry): boolean =>
      ours.some((loop) => loop.major === major && loop.minor === minor);
    const unmountAll = async (which: (mount: MountEntry) => boolean): Promise<void> => {
      for (const mount of (await this.hostOps.mounts()).toReversed()) {
        if (mount.mountPoint.startsWith(`${this.folder}/`) && which(mount))
          await this.hostOps.unmount(mount.mountPoint);
      }
    };
    // A device holds the mount that its image was opened through: it goes first.
    await unmountAll(isOurs);
    for (const loop of ours) await this.hostOps.detachLoop(loop);
    await unmountAll(() => true);
    for (const loop of loops) {
      if (loop.backingFile.startsWith(`${this.folder}/`)) await this.hostOps.detachLoop(loop);
    }
  }

  #record({ mountPoint }: StepFindings): void {
    if (mountPoint === undefined) return;
    const { phase, fsUuid, attachments } = this.volume.status;
    const kept = { phase, attachments, ...(fsUuid === undefined ? {} : { fsUuid }) };
    const at = mountPoint === null ? {} : { mountPoint, bootId: BOOT_ID };
    this.volume = { ...this.volume, status: { ...kept, ...at } };
  }
}

type State = 'none' | 'resting' | 'attached' | 'mounted';

/** The life of a volume, as operations with what is true before each. */
const LIFE: ReadonlyArray<readonly [OperationKind, Partial<PlanFacts>]> = [
  ['create', {}],
  ['mount', {}],
  ['unmount', { attached: true }],
  ['attach', { attachmentsAfter: 1 }],
  ['detach', { attached: true }],
  ['remove', {}],
];

export function driverContract(name: string, shape: DriverShape): void {
  const { driver } = shape.spec;
  const onDevice = driver === 'loop';
  describe(`driver contract: ${name}`, () => {
    let bench: DriverBench;
    beforeEach(() => {
      bench = new DriverBench(shape);
    });
    afterEach(() => bench.clean());

    /** In one word; what contradicts itself comes back whole. */
    const state = async (): Promise<State | Observation> => {
      const seen = await bench.observe();
      const { present, devices, mountPoint, otherMounts, problem } = seen;
      const clean = otherMounts.length === 0 && devices.length <= 1 && seen.path === bench.data;
      if (!clean) return seen;
      if (!present) return problem?.code === 'DataMissing' && devices.length === 0 ? 'none' : seen;
      if (problem || (mountPoint !== undefined && mountPoint !== at())) return seen;
      if (mountPoint !== undefined) return devices.length === 1 || !onDevice ? 'mounted' : seen;
      return devices.length === 1 ? 'attached' : 'resting';
    };
    const at = (): string => (onDevice ? bench.target : bench.data);
    // Of an attachment nothing but the record of a directory knows.
    const attached = onDevice ? 'attached' : 'resting';
    const AFTER: Record<OperationKind, State> = {
      create: 'resting',
      mount: 'mounted',
      unmount: 'resting',
      attach: attached,
      detach: 'resting',
      remove: 'none',
    };

    test('a whole life; observe says what is there after each operation', async () => {
      expect(await state()).toBe('none');
      for (const [kind, facts] of LIFE) {
        await bench.operate(kind, facts);
        expect(await state()).toBe(AFTER[kind]);
      }
    });

    test('the same with each step run twice', async () => {
      for (const [kind, facts] of LIFE) {
        await bench.operate(kind, facts, 2);
        expect(await state()).toBe(AFTER[kind]);
      }
    });

    test('the same with every operation run again from its first step, as after a crash', async () => {
      for (const [kind, facts] of LIFE) {
        const { steps } = plan(kind, driver, { ...AT_REST, ...facts });
        for (let upTo = 1; upTo <= steps.length; upTo += 1) {
          await bench.steps(kind, steps.slice(0, upTo), true);
        }
        await bench.steps(kind, steps, true);
        expect(await state()).toBe(AFTER[kind]);
      }
    });

    test('what a file holds is there after unmount and mount', async () => {
      await bench.operate('create');
      await bench.operate('mount');
      writeFileSync(path.join(bench.volume.status.mountPoint!, 'file'), 'kept');
      await bench.operate('unmount', { attached: true });
      await bench.operate('mount');
      const names = await bench.hostOps.readDirectory(bench.volume.status.mountPoint!);
      expect(names).toContain('file');
    });

    test.each(OPERATION_KINDS.filter((kind) => undoStepsOf(kind, driver).length > 0))(
      'undo takes back %s however far it came, twice over',
      async (kind) => {
        if (kind !== 'create') await bench.operate('create');
        const steps = stepsOf(kind, driver);
        for (let upTo = 0; upTo < steps.length; upTo += 1) {
          await bench.steps(kind, steps.slice(0, upTo), true);
          await bench.steps(kind, undoStepsOf(kind, driver), false, 2);
          expect(await state()).toBe(kind === 'create' ? 'none' : 'resting');
        }
      },
    );

    test('missing data is seen, refused, and not made anew', async () => {
      await bench.hostOps.ensureDirectory(bench.service.path, 0o700);
      for (const kind of ['mount', 'attach'] as const) {
        await expect(bench.operate(kind)).rejects.toMatchObject({ code: 'Corrupt' });
      }
      expect(await state()).toBe('none');
    });

    test('a step of another driver is a programmer error', async () => {
      const foreign = onDevice ? 'trash-directory' : 'allocate-image';
      await expect(bench.steps('create', [foreign])).rejects.toMatchObject({ code: 'Internal' });
    });

    test('more than the file system of the service holds is refused, with the numbers', async () => {
      const spec = { ...bench.volume.spec, sizeBytes: 2 ** 52 };
      await expect(bench.driver.checkRoom(spec, bench.service)).rejects.toMatchObject({
        code: 'NoSpace',
        message: expect.stringContaining(`${2 ** 52}`) as string,
      });
    });
  });
}
