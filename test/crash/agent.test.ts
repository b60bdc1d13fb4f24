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
import { MiB } from '../../src/base/bytes.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { expectedView, kernelView } from './volume-view.ts';

const isRoot = process.getuid?.() === 0;
const KINDS = ['create', 'mount', 'unmount', 'remove'] as const satisfies OperationKind[];
/** The smallest that has a journal; the agent test is about processes, not about sizes. */
const SIZE_BYTES = 8 * MiB;
const SUBJECT = 'subject';

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
      // The answer never comes: the connection ends with the process.
      await request(agent, point).catch(() => undefined);
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

const VOLUMES = '/agent/v1/volumes';

function bodyOf(name: string, driver: DriverName): object {
  return { name, service: driver, ...(driver === 'loop' ? { sizeBytes: SIZE_BYTES } : {}) };
}

async function make(agent: AgentProcess, name: string, driver: DriverName): Promise<VolumeBody> {
  const answer = await agent.call<VolumeBody>('POST', VOLUMES, bodyOf(name, driver));
  expect(answer.status, answer.text).toBe(201);
  return answer.json;
}

async function act(
  agent: AgentProcess,
  ref: string,
  action: 'mount' | 'unmount',
): Promise<VolumeBody> {
  const answer = await agent.call<VolumeBody>('POST', `${VOLUMES}/${ref}/${action}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

/** The operation under test. */
function request(agent: AgentProcess, { kind, driver }: KillPoint): Promise<unknown> {
  if (kind === 'create') return agent.call('POST', VOLUMES, bodyOf(SUBJECT, driver));
  if (kind === 'remove') return agent.call('DELETE', `${VOLUMES}/${SUBJECT}?force`);
  return agent.call('POST', `${VOLUMES}/${SUBJECT}/${kind}`);
}

/** The state that the operation starts from, with a file in the volume where it can have one. */
async function prepare(
  agent: AgentProcess,
  { kind, driver }: KillPoint,
): Promise<Before | undefined> {
  if (kind === 'create') return undefined;
  const { spec } = await make(agent, SUBJECT, driver);
  // The first mount of a mount test is the one under test: its volume is still empty.
  if (kind === 'mount') return { id: spec.id };
  const { status } = await act(agent, spec.id, 'mount');
  const { file, sum } = fill(status.mountPoint!);
  if (kind === 'remove') {
    // Attached, so that removing has a device to detach.
    await act(agent, spec.id, 'unmount');
    await attach(agent, driver, spec.id);
  }
  return { id: spec.id, file, sum };
}

async function attach(agent: AgentProcess, service: string, id: string): Promise<void> {
  const headers = ['Libstorage-Instanceid', `${service}=somebody`];
  const answer = await agent.call('POST', `/volumes/${service}/${id}?attach`, {}, headers);
  expect(answer.status).toBe(200);
}

async function expectOutcome(
  agent: AgentProcess,
  point: KillPoint,
  before?: Before,
): Promise<void> {
  const answer = await agent.call<VolumeBody>('GET', `${VOLUMES}/${SUBJECT}`);
  const found = answer.status === 200 ? answer.json : undefined;
  // Its journal entry was written before the first step: it is acknowledged, so it ends as asked.
  if (point.kind === 'remove') {
    expect(answer.status).toBe(404);
    return;
  }
  expect(found?.status.phase).toBe('ready');
  expect(found?.status.condition).toBeUndefined();
  if (before) expect(found?.spec.id).toBe(before.id);
  if (point.kind === 'mount') expect(found?.status.mountPoint).toBeDefined();
  if (point.kind === 'unmount') expect(found?.status.mountPoint).toBeUndefined();
  // Whatever became of it, it can be mounted, and what was in it is in it.
  const { status } = await act(agent, SUBJECT, 'mount');
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
  const url = `${VOLUMES}/${SUBJECT}`;
  if ((await agent.call('GET', url)).status === 404) return;
  await act(agent, SUBJECT, 'unmount');
  expect((await agent.call('DELETE', url)).status).toBe(204);
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
