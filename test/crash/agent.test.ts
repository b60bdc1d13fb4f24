/**
 * Goal: the agent killed (SIGKILL) before and after every step of every operation on a volume: what was
 * acknowledged is there with its data, what was interrupted is finished or rolled back, nothing is
 * orphaned as losetup, mountinfo and the folders see it. The kill points are the planner's own steps.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VolumeBody, VolumesReply } from '../../src/agent/faces/agent-api/schema.ts';
import {
  stepsOf,
  type DriverName,
  type OperationKind,
  type Volume,
} from '../../src/volumes/index.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { expectedView, kernelView } from './volume-view.ts';

const isRoot = process.getuid?.() === 0;
const KINDS = ['create', 'mount', 'unmount', 'remove'] as const satisfies OperationKind[];
/** The smallest that has a journal; the agent test is about processes, not about sizes. */
const SIZE = '8M';

interface KillPoint {
  readonly driver: DriverName;
  readonly kind: (typeof KINDS)[number];
  readonly at: string;
}

const points: KillPoint[] = (['loop', 'dir'] as const).flatMap((driver) =>
  KINDS.flatMap((kind) =>
    stepsOf(kind, driver).flatMap((step) => [
      { driver, kind, at: `${kind}/${step}:before` },
      { driver, kind, at: `${kind}/${step}:after` },
    ]),
  ),
);
const hits = new Map<string, number>();

describe.skipIf(!isRoot)(
  'the agent killed at every step (needs root: loop devices, mounts)',
  () => {
    let agent: AgentProcess;
    /** Never touched by an operation under test: what was acknowledged long ago. */
    let witness: { file: string; sum: string };

    beforeAll(async () => {
      agent = await AgentProcess.start();
      const volume = await make(agent, 'witness', 'loop');
      witness = fill(
        (await agent.json<VolumeBody>('volume', 'mount', volume.spec.id)).status.mountPoint!,
      );
      await agent.stop();
    });
    afterAll(async () => {
      console.log(hitTable());
      await agent.remove();
    });

    it.each(points)('$driver $at', async (point) => {
      await agent.start({ HOLDFAST_FAILPOINT: point.at });
      const before = await prepare(agent, point);
      await agent.cli(...verbOf(point));
      const exit = await agent.child.exited;
      expect(exit.signal).toBe('SIGKILL');
      hits.set(`${point.driver} ${point.at}`, (hits.get(`${point.driver} ${point.at}`) ?? 0) + 1);

      await agent.start();
      expect(sumOf(witness.file)).toBe(witness.sum);
      const { volumes } = (await agent.call<VolumesReply>('GET', '/agent/v1/volumes')).json;
      expectNoOrphans(agent, volumes as Volume[]);
      await expectOutcome(agent, point, before);
      // Nothing stands in the way of the next: the name is free, or the volume can be removed.
      await clear(agent);
      await agent.stop();
    });

    it('was killed at each of them', () => {
      expect([...hits.keys()].toSorted()).toEqual(
        points.map(({ driver, at }) => `${driver} ${at}`).toSorted(),
      );
    });
  },
);

interface Before {
  readonly id: string;
  readonly file?: string;
  readonly sum?: string;
}

async function make(agent: AgentProcess, name: string, driver: DriverName): Promise<VolumeBody> {
  const size = driver === 'loop' ? ['--size', SIZE] : [];
  return agent.json<VolumeBody>('volume', 'create', name, '--service', driver, ...size);
}

/** The state that the operation starts from, with a file in the volume where it can have one. */
async function prepare(
  agent: AgentProcess,
  { kind, driver }: KillPoint,
): Promise<Before | undefined> {
  if (kind === 'create') return undefined;
  const { spec } = await make(agent, 'subject', driver);
  // The first mount of a mount test is the one under test: its volume is still empty.
  if (kind === 'mount') return { id: spec.id };
  const { status } = await agent.json<VolumeBody>('volume', 'mount', spec.id);
  const { file, sum } = fill(status.mountPoint!);
  if (kind === 'remove') {
    // Attached, so that removing has a device to detach.
    await agent.json('volume', 'unmount', spec.id);
    await attach(agent, driver, spec.id);
  }
  return { id: spec.id, file, sum };
}

async function attach(agent: AgentProcess, service: string, id: string): Promise<void> {
  const headers = ['Libstorage-Instanceid', `${service}=somebody`];
  const answer = await agent.call('POST', `/volumes/${service}/${id}?attach`, {}, headers);
  expect(answer.status).toBe(200);
}

function verbOf({ kind, driver }: KillPoint): string[] {
  if (kind === 'create') {
    return [
      'volume',
      'create',
      'subject',
      '--service',
      driver,
      ...(driver === 'loop' ? ['--size', SIZE] : []),
    ];
  }
  return kind === 'remove' ? ['volume', 'rm', '--force', 'subject'] : ['volume', kind, 'subject'];
}

async function expectOutcome(
  agent: AgentProcess,
  point: KillPoint,
  before?: Before,
): Promise<void> {
  const answer = await agent.cli('volume', 'inspect', 'subject', '-o', 'json');
  const found = answer.code === 0 ? (JSON.parse(answer.stdout) as VolumeBody) : undefined;
  // Its journal entry was written before the first step: it is acknowledged, so it ends as asked.
  if (point.kind === 'remove') {
    expect(answer.code).toBe(5);
    return;
  }
  expect(found?.status.phase).toBe('ready');
  expect(found?.status.condition).toBeUndefined();
  if (before) expect(found?.spec.id).toBe(before.id);
  if (point.kind === 'mount') expect(found?.status.mountPoint).toBeDefined();
  if (point.kind === 'unmount') expect(found?.status.mountPoint).toBeUndefined();
  // Whatever became of it, it can be mounted, and what was in it is in it.
  const { status } = await agent.json<VolumeBody>('volume', 'mount', 'subject');
  if (before?.sum) expect(sumOf(path.join(status.mountPoint!, 'file'))).toBe(before.sum);
  else fill(status.mountPoint!);
}

function expectNoOrphans(agent: AgentProcess, volumes: readonly Volume[]): void {
  const site = {
    images: path.join(agent.stateDir, 'volumes/loop'),
    directories: path.join(agent.stateDir, 'volumes/dir'),
    mountRoot: path.join(agent.stateDir, 'mounts'),
  };
  expect(kernelView(site)).toEqual(expectedView(site, volumes));
}

async function clear(agent: AgentProcess): Promise<void> {
  if ((await agent.cli('volume', 'inspect', 'subject')).code === 5) return;
  await agent.json('volume', 'unmount', 'subject');
  expect((await agent.cli('volume', 'rm', 'subject')).code).toBe(0);
}

function fill(mountPoint: string): { file: string; sum: string } {
  const file = path.join(mountPoint, 'file');
  writeFileSync(file, randomBytes(64 * 1024), { flush: true });
  return { file, sum: sumOf(file) };
}

function sumOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function hitTable(): string {
  const lines = points.map(
    ({ driver, at }) => `${hits.get(`${driver} ${at}`) ?? 0}  ${driver} ${at}`,
  );
  return ['kills  step', ...lines].join('\n');
}
