/** Goal: the agent's life as systemd and a person see it: ready, watched, stopped within 10 s, mounts untouched. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StatusReply, VolumeBody } from '../../src/agent/faces/agent-api/schema.ts';
import { AgentProcess, type AgentOptions } from '../support/agent-process.ts';
import { NotifySocket } from '../support/notify-socket.ts';
import { tempDir } from '../support/temp-dir.ts';
import { mountPoints } from '../support/temp-folder.ts';

const isRoot = process.getuid?.() === 0;

async function startAgent(options: AgentOptions = {}): Promise<AgentProcess> {
  const agent = await AgentProcess.start(options);
  onTestFinished(() => agent.remove());
  return agent;
}

it('prints what a person wants to see first, on stdout', async () => {
  const agent = await startAgent();
  const { hostname, replicaId } = await agent.json<StatusReply>('status');
  const said = agent.child.output;
  expect(said).toMatch(/^holdfast \d+\.\d+\.\d+ is ready after \d+ ms$/m);
  expect(said).toContain(hostname);
  expect(said).toContain(replicaId);
  expect(said).toContain(`dir: dir volumes in ${agent.stateDir}/volumes/dir`);
  expect(said).toContain(agent.socket);
});

it('says so as one line of JSON for a program', async () => {
  const agent = await startAgent({ args: ['-o', 'json'] });
  const line = agent.child.output.split('\n').find((text) => text.includes('"readyMs"'));
  expect(JSON.parse(line!)).toMatchObject({ state: 'ready', reasons: [], socket: agent.socket });
});

it('runs on when nothing takes its log and its report: a file on a full disk', async () => {
  const agent = await startAgent({ wrapper: ['sh', '-c', 'exec "$@" >/dev/full 2>&1', 'sh'] });
  expect(await agent.json<StatusReply>('status')).toMatchObject({ state: 'ready' });
  expect(await agent.stop()).toMatchObject({ code: 0 });
});

it('tells systemd: more time for boot, READY, pings that are earned, STOPPING', async () => {
  await using notify = await NotifySocket.open(tempDir('notify'));
  const env = { NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '400000' };
  const agent = await startAgent({ env });
  await notify.waitFor('READY=1');
  await notify.waitFor('WATCHDOG=1');
  await agent.stop();
  await notify.waitFor('STOPPING=1');
  const words = notify.messages.map((message) => message.split('\n')[0]!.replace(/\d{3,}/, 'N'));
  expect([...new Set(words)]).toEqual([
    'EXTEND_TIMEOUT_USEC=N',
    'READY=1',
    'WATCHDOG=1',
    'STOPPING=1',
  ]);
});

it('keeps its identity, and each start is another epoch', async () => {
  const agent = await startAgent();
  const first = await agent.json<StatusReply>('status');
  await agent.stop();
  await agent.start();
  const second = await agent.json<StatusReply>('status');
  expect(second.replicaId).toBe(first.replicaId);
  expect(second.epoch).not.toBe(first.epoch);
  expect(second.engine.incarnation).toBe(first.engine.incarnation);
});

describe.skipIf(!isRoot)('with loop volumes (needs root)', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    '%s unmounts nothing, the next start takes over',
    async (signal) => {
      const agent = await startAgent();
      const made = await agent.json<VolumeBody>(
        'volume',
        'create',
        'v',
        '--service',
        'loop',
        '--size',
        '16M',
        '--mount',
      );
      const at = made.status.mountPoint!;
      writeFileSync(path.join(at, 'f'), 'kept', { flush: true });
      const exit = signal === 'SIGTERM' ? await agent.stop() : await agent.kill();
      expect(exit).toEqual(
        signal === 'SIGTERM' ? { code: 0, signal: null } : { code: null, signal },
      );
      expect(mountPoints()).toContain(at);
      await agent.start();
      const after = await agent.json<VolumeBody>('volume', 'inspect', 'v');
      expect(after.status).toEqual(made.status);
      expect(readFileSync(path.join(at, 'f'), 'utf8')).toBe('kept');
      await agent.json('volume', 'unmount', 'v');
      expect(mountPoints()).not.toContain(at);
    },
  );

  it('a boot volume whose data is gone makes it degraded, not dead; the others are up', async () => {
    const agent = await startAgent();
    for (const name of ['sick', 'well']) {
      await agent.json(
        'volume',
        'create',
        name,
        '--service',
        'loop',
        '--size',
        '16M',
        '--mount-at-boot',
      );
    }
    const { spec } = await agent.json<VolumeBody>('volume', 'inspect', 'sick');
    await agent.stop();
    const image = path.join(agent.stateDir, 'volumes/loop', `${spec.id}.img`);
    const content = readFileSync(image);
    writeFileSync(image, content.subarray(0, 4096));
    await agent.start();
    const status = await agent.json<StatusReply>('status');
    expect(status.state).toBe('degraded');
    expect(status.reasons).toEqual([expect.stringContaining('"sick"')]);
    expect(status.reasons[0]).toContain('4096 bytes');
    expect(status.volumes).toEqual({ total: 2, mounted: 1, failed: 0 });
    expect((await agent.cli('doctor')).code).toBe(1);

    writeFileSync(image, content);
    await agent.json('volume', 'mount', 'sick');
    expect(await agent.json<StatusReply>('status')).toMatchObject({ state: 'ready', reasons: [] });
  });
});
