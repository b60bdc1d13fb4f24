/**
 * Goal: a SIGKILL at any step of any operation, also of its undo and of a recovery, leaves every
 * acknowledged volume with its data, the interrupted operation finished or rolled back, and no orphan.
 * Method: the kill points are the planner's own lists; the witness is the kernel and the folders.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  OPERATION_KINDS,
  stepsOf,
  undoStepsOf,
  type DriverName,
  type OperationKind,
  type Volume,
} from '../../src/volumes/index.ts';
import { MiB } from '../../src/base/bytes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from './random.ts';
import { Slot } from './volume-slot.ts';
import { Died, type VolumeProcess } from './volume-process.ts';
import { tearDown, VolumeSite } from './volume-site.ts';

const isRoot = process.getuid?.() === 0;
const INSTANCE = { id: 'client-1', driver: 'holdfast', service: 'loop' };

/** What is created: both drivers everywhere; xfs where its own file system code is in the way. */
const SHAPES = {
  dir: { driver: 'dir', request: { service: 'dir' } },
  ext4: { driver: 'loop', request: { service: 'loop', sizeBytes: 16 * MiB } },
  xfs: { driver: 'loop', request: { service: 'loop', sizeBytes: 300 * MiB, fsType: 'xfs' } },
} as const satisfies Record<string, { driver: DriverName; request: object }>;
type Shape = keyof typeof SHAPES;

interface Case {
  readonly shape: Shape;
  readonly kind: OperationKind;
  /** Where it is killed, e.g. `create/format:after`. */
  readonly kill: string;
  /** The operation fails here, so that its undo runs. */
  readonly fail?: string;
  /** Where the recovery is killed, too. */
  readonly again?: string;
}

const SEED = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 2 ** 31);
const RANDOM_ROUNDS = 30;
/** Volumes worked on at once: more only queue up at the two cores. */
const SLOTS = 5;
/** Most operations take 5 to 50 ms. */
const KILL_AFTER_MS_MIN = 20;
const KILL_AFTER_MS_SPAN = 400;

const WHEN = ['before', 'after'] as const;

function pointsOf(kind: OperationKind, steps: readonly string[]): string[] {
  return steps.flatMap((step) => WHEN.map((when) => `${kind}/${step}:${when}`));
}

function forwardCases(shape: Shape): Case[] {
  const { driver } = SHAPES[shape];
  return OPERATION_KINDS.flatMap((kind) =>
    pointsOf(kind, stepsOf(kind, driver)).map((kill) => ({ shape, kind, kill })),
  );
}

/** Killed just before the record is written, so that the recovery goes through every step, and is killed there. */
function doubleCases(shape: Shape): Case[] {
  const { driver } = SHAPES[shape];
  return OPERATION_KINDS.flatMap((kind) =>
    pointsOf(kind, stepsOf(kind, driver)).map((again) => ({
      shape,
      kind,
      again,
      kill: `${kind}/record:before`,
    })),
  );
}

/** The last step before `record` fails after it was done; the recovery runs into the same failure. */
function undoCases(shape: Shape): Case[] {
  const { driver } = SHAPES[shape];
  return OPERATION_KINDS.flatMap((kind) => {
    const fail = `${kind}/${stepsOf(kind, driver).at(-2)}:after`;
    return pointsOf(kind, undoStepsOf(kind, driver)).flatMap((kill) => [
      { shape, kind, fail, kill },
      { shape, kind, fail, kill: fail, again: kill },
    ]);
  });
}

const XFS_CASES: readonly Case[] = [
  { shape: 'xfs', kind: 'create', kill: 'create/format:after' },
  { shape: 'xfs', kind: 'mount', kill: 'mount/mount:after' },
  { shape: 'xfs', kind: 'unmount', kill: 'unmount/unmount:after' },
];

/** Point -> how often a process died there. */
const hits = new Map<string, number>();
const outcomes = { completed: 0, 'rolled back': 0 };

describe.runIf(isRoot)('killed at every step (needs root: loop devices and mounts)', () => {
  let folder: string;
  let site: VolumeSite;
  let worker: VolumeProcess;
  /** Mounted with a file in it all the time; nothing may ever happen to it. */
  let bystander: Volume;

  beforeAll(async () => {
    folder = tempDir('crash-volumes');
    site = new VolumeSite(folder);
    worker = await site.start();
    const { spec } = await worker.call('create', { name: 'bystander', ...SHAPES.ext4.request });
    bystander = await worker.call('mount', spec.id);
    site.writePayload(bystander);
  });

  afterAll(async () => {
    try {
      await site.readAndRemove(worker, bystander);
      await site.check(worker, []);
      await worker.quit();
      printTable();
    } finally {
      await worker.kill();
      tearDown(folder);
    }
  });

  // One that failed must not fail all that come after it.
  beforeEach(async () => {
    if (worker.ended) worker = await site.start();
    for (const left of await worker.call('list')) {
      if (left.spec.id !== bystander.spec.id) await site.readAndRemove(worker, left);
    }
  });

  /** The worker dies at the point; @returns what it was doing as far as it was acknowledged before. */
  async function crash({ shape, kind, kill, fail }: Case): Promise<Volume | undefined> {
    const before = await prepare(shape, kind);
    await worker.call('arm', { kill, ...(fail === undefined ? {} : { fail }) });
    await expect(operate(shape, kind, before), `not killed at ${kill}`).rejects.toThrow(Died);
    noteDeath(kill);
    return before;
  }

  async function prepare(shape: Shape, kind: OperationKind): Promise<Volume | undefined> {
    if (kind === 'create') return undefined;
    const { spec } = await worker.call('create', { name: 'Subject', ...SHAPES[shape].request });
    const mounted = await worker.call('mount', spec.id);
    site.writePayload(mounted);
    if (kind === 'unmount') return mounted;
    const resting = await worker.call('unmount', spec.id);
    const attachedBefore = kind === 'detach' || kind === 'remove';
    return attachedBefore ? worker.call('attach', spec.id, INSTANCE) : resting;
  }

  function operate(
    shape: Shape,
    kind: OperationKind,
    before: Volume | undefined,
  ): Promise<unknown> {
    const id = before?.spec.id ?? '';
    switch (kind) {
      case 'create':
        return worker.call('create', { name: 'Subject', ...SHAPES[shape].request });
      case 'attach':
        return worker.call('attach', id, INSTANCE);
      default:
        return worker.call(kind, id);
    }
  }

  function noteDeath(point: string): void {
    expect(worker.hits.at(-1)).toBe(point);
    hits.set(point, (hits.get(point) ?? 0) + 1);
  }

  async function recover({ again, fail }: Case): Promise<void> {
    const armed = fail === undefined ? {} : { fail };
    if (again !== undefined) {
      worker = site.spawn({ ...armed, kill: again });
      await expect(worker.call('recover'), `not killed again at ${again}`).rejects.toThrow(Died);
      noteDeath(again);
    }
    worker = await site.start(armed);
    await worker.call('arm', {});
  }

  /** Finished or as before; a removal that began is always finished. */
  function judge(
    { kind, fail }: Case,
    before: Volume | undefined,
    after: Volume | undefined,
  ): void {
    const done: Record<OperationKind, boolean> = {
      create: after !== undefined,
      mount: after?.status.mountPoint !== undefined,
      unmount: after !== undefined && after.status.mountPoint === undefined,
      attach: after?.status.attachments.length === 1,
      detach: after?.status.attachments.length === 0,
      remove: after === undefined,
    };
    const outcome = done[kind] ? 'completed' : 'rolled back';
    outcomes[outcome] += 1;
    const wanted = fail === undefined ? 'completed' : 'rolled back';
    expect(outcome, `${JSON.stringify({ before, after })}`).toBe(wanted);
    if (outcome === 'completed') return;
    // What went wrong may be noted; everything else is as it was.
    expect({ ...after?.status, condition: undefined }).toEqual({
      ...before?.status,
      condition: undefined,
    });
  }

  async function run(one: Case): Promise<void> {
    const before = await crash(one);
    await recover(one);
    const acknowledged = one.kind === 'remove' || !before ? [bystander] : [bystander, before];
    const volumes = await site.check(worker, acknowledged);
    expect(volumes.find(({ spec }) => spec.id === bystander.spec.id)).toEqual(bystander);
    const after = volumes.find(({ spec }) => spec.name === 'Subject');
    judge(one, before, after);
    if (after) await site.readAndRemove(worker, after);
    await site.check(worker, [bystander]);
  }

  for (const shape of ['dir', 'ext4'] as const) {
    test.each(forwardCases(shape))(`${shape}, $kill`, run);
    test.each(undoCases(shape))(`${shape}, undo after $fail, $kill, $again`, run);
    test.each(doubleCases(shape))(`${shape}, $kill, again at $again`, run);
  }
  test.each(XFS_CASES)('xfs, $kill', run);

  test(`killed ${RANDOM_ROUNDS} times from outside while ${SLOTS} volumes are worked on at once`, async () => {
    const random = new Random(SEED);
    const slots = Array.from({ length: SLOTS }, (_, index) => new Slot(site, index, random));
    for (let round = 0; round < RANDOM_ROUNDS; round += 1) {
      const work = slots.map((slot) => slot.workUntilDeath(worker));
      await sleep(KILL_AFTER_MS_MIN + random.below(KILL_AFTER_MS_SPAN));
      await worker.kill();
      await Promise.all(work);
      worker = await site.start();
      const volumes = await site.check(worker, [bystander]);
      for (const slot of slots) slot.settle(volumes, `seed ${SEED}, round ${round}`);
    }
    const acknowledged = slots.reduce((sum, slot) => sum + slot.acknowledged, 0);
    console.log(
      `seed ${SEED}: ${RANDOM_ROUNDS} kills, ${acknowledged} acknowledged operations, none lost`,
    );
    expect(acknowledged).toBeGreaterThan(RANDOM_ROUNDS);
  });

  test('every kill point was hit', () => {
    const drivers = ['dir', 'loop'] as const;
    const all = drivers.flatMap((driver) =>
      OPERATION_KINDS.flatMap((kind) =>
        pointsOf(kind, [...stepsOf(kind, driver), ...undoStepsOf(kind, driver)]),
      ),
    );
    expect(all.length).toBeGreaterThan(60);
    expect(all.filter((point) => !hits.has(point))).toEqual([]);
  });
});

function printTable(): void {
  const lines = [...hits]
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([point, count]) => `${point.padEnd(36)}${String(count).padStart(3)}`);
  const total = [...hits.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${lines.join('\n')}\n${total} kills at ${hits.size} points: ${outcomes.completed} operations completed, ${outcomes['rolled back']} rolled back`,
  );
}
