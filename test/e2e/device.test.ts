/**
 * Goal: from plug to forget, the command line says of a real device what it is, who has it, and whether it is free.
 * Method: a loop device of our own beside whatever this host has; blkid and mkfs are the real ones.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loopAttach, loopDetach, mount, umount } from '../../native/index.ts';
import { isRoot, MIB, run, Scratch } from '../../native/scratch.ts';
import type { DeviceNode } from '../../src/agent/cli/device-tree.ts';
import type {
  ClaimBody,
  DeviceBody,
  DeviceEventBody,
  EventBody,
} from '../../src/agent/faces/agent-api/schema.ts';
import type { Verdict } from '../../src/devices/index.ts';
import { AgentProcess } from '../support/agent-process.ts';

const OK = 0;
const USAGE = 2;
const NOT_FOUND = 5;
const CONFLICT = 6;

type Why = Verdict & { readonly id: string };

describe.runIf(isRoot)('a loop device of this host (needs root)', () => {
  let scratch: Scratch;
  let agent: AgentProcess;
  let node: string;
  let id: string;

  beforeAll(async () => {
    scratch = new Scratch();
    const image = scratch.image('disk', 64 * MIB);
    node = (await loopAttach({ backingFile: image })).path;
    agent = await AgentProcess.start();
    ({ id } = await agent.json<DeviceBody>('device', 'inspect', node));
  });
  afterAll(async () => {
    await agent.remove();
    scratch[Symbol.dispose]();
  });

  const why = (): Promise<Why> => agent.json<Why>('device', 'why', node);
  const codesAgainst = async (): Promise<string[]> =>
    (await why()).reasons.filter(({ against }) => against).map(({ code }) => code);

  it('is free while nothing is on it, and then comes first', async () => {
    expect(await why()).toMatchObject({ id, free: true });
    const devices = await agent.json<DeviceBody[]>('device', 'ls', '--free');
    const free = devices.map(({ verdict }) => verdict.free);
    expect(free).toEqual(free.toSorted((a, b) => Number(b) - Number(a)));
    expect(devices.find((device) => device.id === id)!.verdict.free).toBe(true);
  });

  it('is claimed for an owner, who alone releases it', async () => {
    expect((await agent.cli('device', 'claim', node, '--owner', 'backup')).stdout).toContain(id);
    expect(await codesAgainst()).toEqual(['claimed']);
    expect((await agent.cli('device', 'ls')).stdout).toContain('claimed by backup');
    expect((await agent.cli('device', 'claim', node)).code).toBe(CONFLICT);
    expect((await agent.cli('device', 'release', node)).code).toBe(CONFLICT);
    const again = await agent.json<ClaimBody>('device', 'claim', node, '--owner', 'backup');
    expect(again).toMatchObject({ device: id, owner: 'backup' });
    expect((await agent.cli('device', 'release', node, '--owner', 'backup')).code).toBe(OK);
    expect((await agent.cli('device', 'release', node)).code).toBe(NOT_FOUND);
    expect(await why()).toMatchObject({ free: true });
  });

  it('is not free at once when it is mounted, and says each reason', async () => {
    run('mkfs.ext4', ['-q', '-L', 'data', node]);
    expect(await codesAgainst()).toEqual(['content']);
    const folder = scratch.folder('mounted');
    await mount({ source: node, target: folder, type: 'ext4' });
    expect(await codesAgainst()).toEqual(['mounted', 'content']);
    const shown = (await agent.cli('device', 'why', id)).stdout;
    expect(shown).toContain('is not free');
    expect(shown.replaceAll(/\n\s+/g, ' ')).toContain(`it is mounted at ${folder} [mounted]`);
    await umount(folder);
  });

  it('stands in the tree on the device that its file lies on', async () => {
    const { backingDevice } = await agent.json<DeviceBody>('device', 'inspect', id);
    const nodes = await agent.json<DeviceNode[]>('device', 'tree');
    const all = (list: readonly DeviceNode[]): DeviceNode[] =>
      list.flatMap((one) => [one, ...all(one.children)]);
    const below = all(nodes).find(({ device }) => device.name === backingDevice);
    // In a container the file may lie on no device that the host shows.
    const siblings = backingDevice === undefined ? nodes : below!.children;
    expect(siblings.map(({ device }) => device.id)).toContain(id);
  });

  it.each([[['ls']], [['ls', '--free']], [['ls', '--all']], [['tree']]])(
    'device %j fits 80 columns',
    async (args) => {
      const { stdout } = await agent.cli('device', ...args);
      const lines = stdout.split('\n');
      expect(lines[0]).toMatch(/^NAME +KIND +SIZE +CONTENT +USE +ID$/);
      expect(lines.length).toBeGreaterThan(2);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    },
  );

  it('shows its facts with source and time, and its history', async () => {
    const { stdout } = await agent.cli('device', 'inspect', id);
    expect(stdout).toMatch(/^ {2}label +superblock +\d{4}-\d\d-\d\d \d\d:\d\d +data$/m);
    expect(stdout).toMatch(/^ {2}\d{4}-\d\d-\d\d \d\d:\d\d +appeared$/m);
  });

  it('is forgotten when it is gone, not before', async () => {
    expect((await agent.cli('device', 'forget', id)).code).toBe(CONFLICT);
    await loopDetach(node);
    // Nothing, when the kernel's word led to a scan before.
    await agent.json<DeviceEventBody[]>('device', 'rescan');
    expect(await agent.json('device', 'inspect', id)).toMatchObject({ present: false });
    expect((await agent.cli('device', 'ls', '--all')).stdout).toContain(`(${node.slice(5)})`);
    const dry = await agent.json<string[]>('device', 'forget', '--absent', '--dry-run');
    expect(dry).toContain(id);
    expect((await agent.cli('device', 'inspect', id)).code).toBe(OK);
    expect(await agent.json<string[]>('device', 'forget', '--absent')).toContain(id);
    expect((await agent.cli('device', 'inspect', id)).code).toBe(NOT_FOUND);
    expect(await agent.json<string[]>('device', 'forget', '--absent')).not.toContain(id);
  });

  it('forget wants to know what', async () => {
    for (const args of [[], [id, '--absent']]) {
      const { code, stderr } = await agent.cli('device', 'forget', ...args);
      expect([code, stderr.includes('--absent')]).toEqual([USAGE, true]);
    }
  });
});

describe.runIf(isRoot)('device watch (needs root)', () => {
  let scratch: Scratch;
  let agent: AgentProcess;
  beforeAll(async () => {
    scratch = new Scratch();
    agent = await AgentProcess.start();
  });
  afterAll(async () => {
    await agent.remove();
    scratch[Symbol.dispose]();
  });

  /** One attach and detach that a scan has seen. */
  async function comeAndGo(name: string): Promise<string> {
    const { path } = await loopAttach({ backingFile: scratch.image(name, MIB) });
    await agent.cli('device', 'rescan');
    await loopDetach(path);
    await agent.cli('device', 'rescan');
    return path;
  }

  it('tells each event once, over a restart of the agent, until it is asked to stop', async () => {
    await comeAndGo('before');
    const watch = await agent.spawnCli('device', 'watch', '-o', 'json');
    const messagesOf = (file: string): string[] =>
      watch.output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as EventBody)
        .filter(({ subject }) => subject.includes(`_${file}..`))
        .map(({ type }) => type);
    // It begins with what comes after it: an event tells when it has begun.
    let tries = 0;
    await watch.waitUntil('the watch is on', async () => {
      await comeAndGo(`probe${(tries += 1)}`);
      return watch.output.includes('probe');
    });
    await comeAndGo('first');
    await watch.waitUntil('both events', () => messagesOf('first').length === 2);
    await agent.stop();
    await agent.start();
    await comeAndGo('second');
    await watch.waitUntil('both events', () => messagesOf('second').length === 2);
    expect((await watch.stop()).code).toBe(OK);
    expect(messagesOf('before')).toEqual([]);
    for (const file of ['first', 'second']) {
      expect(messagesOf(file)).toEqual(['device.appeared', 'device.disappeared']);
    }
    expect(watch.output).toContain('waiting for the agent');
  });
});

it.runIf(isRoot)('a kind that is to be ignored is not looked at (needs root)', async () => {
  const scratch = new Scratch();
  const agent = await AgentProcess.start({ config: 'devices: { ignore: [loop] }\n' });
  try {
    const { path } = await loopAttach({ backingFile: scratch.image('ignored', MIB) });
    expect((await agent.cli('device', 'rescan')).code).toBe(OK);
    expect((await agent.cli('device', 'inspect', path)).code).toBe(NOT_FOUND);
    await loopDetach(path);
  } finally {
    await agent.remove();
    scratch[Symbol.dispose]();
  }
});
