/** Goal: a person sees who the host is and why, with the agent down too, and takes a clone's state over by hand. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engineFactStore } from '../../src/agent/fact-store.ts';
import type { EventsReply, HostReply } from '../../src/agent/faces/agent-api/schema.ts';
import type { HostExplanation, HostIdentity } from '../../src/devices/index.ts';
import { openEngine } from '../../src/engine/index.ts';
import { AgentProcess } from '../support/agent-process.ts';

const OK = 0;
const NOT_FOUND = 5;
const CONFLICT = 6;
const CONFIGURATION = 78;

/** A copy of this host's state as it looks from another machine: no fact of the hardware is the same. */
const ELSEWHERE: HostIdentity = {
  replicaId: '01900000-0000-7000-8000-000000000001',
  mintedAt: '2026-01-01T00:00:00.000Z',
  fingerprint: {
    productUuid: '4c4c4544-0042-3510-8058-b4c04f4a4d32',
    boardSerial: 'ELSEWHERE-1',
    macs: ['00:1b:21:ff:ff:01'],
    rootDisk: 'scsi-wwid-naa.elsewhere',
    machine: '0'.repeat(64),
  },
};

let agent: AgentProcess;
beforeEach(() => {
  agent = new AgentProcess();
});
afterEach(() => agent.remove());

async function plant(identity: HostIdentity): Promise<void> {
  const folder = path.join(agent.stateDir, 'engine');
  mkdirSync(folder, { recursive: true });
  const engine = await openEngine({ backend: 'sqlite', path: folder });
  await engineFactStore(engine).saveHost(identity);
  await engine.close();
}

it('is shown by the agent, and out of its store when it is down', async () => {
  expect((await agent.cli('identity', 'show')).code).toBe(NOT_FOUND);
  await agent.start();
  const { json } = await agent.call<HostReply>('GET', '/agent/v1/host');
  expect(await agent.json('identity', 'show')).toEqual(json.identity);
  const explained = await agent.json<HostExplanation>('identity', 'explain');
  expect(explained).toMatchObject({ replicaId: json.identity.replicaId });
  expect(['same', 'unknown']).toContain(explained.relation);
  expect((await agent.cli('identity', 'adopt')).code).toBe(CONFLICT);
  await agent.stop();
  expect(await agent.json('identity', 'show')).toEqual(json.identity);
  expect(await agent.json('identity', 'explain')).toEqual(explained);
  const { code, stdout } = await agent.cli('identity', 'explain');
  expect([code, stdout.split('\n').length]).toEqual([OK, 8]);
});

describe('the state of another host', () => {
  it('is explained, and taken over by hand under a new id, once', async ({ skip }) => {
    await plant(ELSEWHERE);
    const explained = await agent.json<HostExplanation>('identity', 'explain');
    const isTold = explained.parts.some(({ likeness }) => likeness === 'different');
    skip(!isTold, 'this machine shows no fact about its hardware');
    expect(explained.relation).toBe('another-host');
    expect((await agent.cli('agent')).code).toBe(CONFIGURATION);
    const adopted = await agent.json<HostIdentity & { outcome: string }>('identity', 'adopt');
    expect(adopted).toMatchObject({ outcome: 'adopted', clonedFrom: ELSEWHERE.replicaId });
    expect(adopted.replicaId).not.toBe(ELSEWHERE.replicaId);
    expect(await agent.json('identity', 'adopt')).toMatchObject({
      outcome: 'same',
      replicaId: adopted.replicaId,
    });
    await agent.start();
    expect(await agent.json('identity', 'show')).toMatchObject({
      replicaId: adopted.replicaId,
      clonedFrom: ELSEWHERE.replicaId,
    });
    const { json } = await agent.call<EventsReply>('GET', '/agent/v1/events');
    expect(json.events.filter(({ type }) => type === 'host.adopted')).toHaveLength(1);
  });
});
