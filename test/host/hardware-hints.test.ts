/**
 * Goal: the agent knows of a device when the kernel says so, not when the next scan is due, and after a storm it
 * knows the last state. Method: loop devices of this kernel, and an agent that would scan once a day.
 */
import { describe, expect, test } from 'vitest';
import { loopAttach, loopDetach } from '../../native/index.ts';
import { Scratch } from '../../native/scratch.ts';
import type { DevicesReply } from '../../src/agent/faces/agent-api/schema.ts';
import { MiB } from '../../src/base/bytes.ts';
import { AgentProcess } from '../support/agent-process.ts';

const isRoot = process.getuid?.() === 0;
const CONFIG = 'devices:\n  rescanSeconds: 86400\n';
/** Each is two changes at least: it comes and it goes. */
const STORM = 500;
const eventually = { timeout: 30_000, interval: 20 };

/** Which of these files the agent knows as loop devices that are there. */
async function shown(agent: AgentProcess, files: readonly string[]): Promise<string[]> {
  const { json } = await agent.call<DevicesReply>('GET', '/agent/v1/devices');
  const there = json.devices.filter(({ present }) => present);
  return files.filter((file) => there.some(({ backingFile }) => backingFile === file));
}

describe.runIf(isRoot)('what the kernel says (needs root: loop devices)', () => {
  test('is heard when a device comes and when it goes', async () => {
    using scratch = new Scratch();
    await using agent = await AgentProcess.start({ config: CONFIG });
    const file = scratch.image('disk', MiB);
    const { path: device } = await loopAttach({ backingFile: file });
    await expect.poll(() => shown(agent, [file]), eventually).toEqual([file]);
    await loopDetach(device);
    await expect.poll(() => shown(agent, [file]), eventually).toEqual([]);
  });

  test('in a storm ends with what is there', async () => {
    using scratch = new Scratch();
    await using agent = await AgentProcess.start({ config: CONFIG });
    const files = ['a', 'b', 'c'].map((name) => scratch.image(name, MiB));
    const [first, , last] = files;
    for (let i = 0; i < STORM; i += 1) {
      const { path: device } = await loopAttach({ backingFile: files[i % 2]! });
      await loopDetach(device);
    }
    await loopAttach({ backingFile: last! });
    await expect.poll(() => shown(agent, files), eventually).toEqual([last]);
    await loopAttach({ backingFile: first! });
    await expect.poll(() => shown(agent, files), eventually).toEqual([first, last]);
    expect((await agent.call('GET', '/readyz')).status).toBe(200);
  });
});
