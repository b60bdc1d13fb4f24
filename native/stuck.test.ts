/**
 * The disease: a call into a sick disk never comes back. Goal: with eight of them stuck the event loop
 * turns, libuv's pool (four threads) works, exit frees what the next agent needs, a worker can end.
 * Method: mounts of a disk that really stops answering (stuck-disk.ts); /proc says they are stuck.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blockDeviceSize, lockFile, mount } from './index.ts';
import { isRoot, mountLine } from './scratch.ts';
import { STUCK_DEVICES, StuckDisk } from './stuck-disk.ts';

/** task.cc's kTasksInFlightMax. */
const TASKS_IN_FLIGHT_MAX = 64;

const ADDON = fileURLToPath(new URL('build/Release/holdfast.node', import.meta.url));

const MOUNT_ALL = `
const [addonPath, devices, dir] = require('node:worker_threads').workerData ?? process.argv.slice(1);
const { mount, lockFile } = require(addonPath);
const mountAll = () => { for (const device of JSON.parse(devices)) mount({ ...device, type: 'ext4' }); };
`;

const EXITING = `${MOUNT_ALL}
lockFile(dir + '/lock');
require('node:net').createServer().listen(dir + '/socket', () => {
  mountAll();
  console.log('mounting');
  process.stdin.once('data', () => process.exit(7));
});
`;

const ENDING_WORKER = `
const { Worker } = require('node:worker_threads');
const worker = new Worker(${JSON.stringify(`${MOUNT_ALL} mountAll(); setInterval(() => {}, 1000);`)}, {
  eval: true, workerData: process.argv.slice(1),
});
worker.once('online', () => console.log('mounting'));
worker.once('exit', () => console.log('worker ended'));
process.stdin.on('data', (line) => String(line) === 'end' ? worker.terminate() : process.exit(0));
`;

/** Threads of a process that sleep where no signal reaches them. */
function threadsInD(pid: number): number {
  const states = readdirSync(`/proc/${pid}/task`).map((task) => stateOf(pid, task));
  return states.filter((state) => state === 'D').length;
}

/** proc(5), stat; undefined when the thread ended since it was listed. */
function stateOf(pid: number, task: string): string | undefined {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error(`waited 5 s in vain until ${what}`);
}

/** Looks in a row, 10 ms apart: a call that only reads, before it gets stuck, sleeps in state D, too, but not for long. */
const STUCK_LOOKS = 30;

function stuckIn(pid: number): Promise<void> {
  let looks = 0;
  return until('all calls are stuck', () => {
    looks = threadsInD(pid) >= STUCK_DEVICES ? looks + 1 : 0;
    return looks === STUCK_LOOKS;
  });
}

function connects(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(socket, () => resolve(true));
    client.once('error', () => resolve(false));
    client.once('connect', () => client.destroy());
  });
}

describe.runIf(isRoot)('calls that hang in the kernel (need root)', () => {
  let disk: StuckDisk;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    disk = new StuckDisk();
    await disk.prepare();
  });
  afterEach(async () => {
    disk.thaw();
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    child = undefined;
    disk[Symbol.dispose]();
  });

  function start(script: string): AsyncIterator<string> {
    const argv = ['-e', script, ADDON, JSON.stringify(disk.devices), disk.scratch.dir];
    child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    return createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  it('stop neither the event loop nor the file system API, and settle after the thaw', async () => {
    disk.freeze();
    let settled = 0;
    const stuck = disk.devices.map((device) =>
      mount({ ...device, type: 'ext4' }).finally(() => settled++),
    );
    await stuckIn(process.pid);
    for (let i = 0; i < 20; i++) {
      await sleep(1);
      await Promise.all(Array.from({ length: 16 }, () => readFile('/proc/self/stat')));
    }
    await expect(blockDeviceSize('/dev/none')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(settled).toBe(0);
    disk.thaw();
    await Promise.all(stuck);
    for (const { target } of disk.devices) expect(mountLine(target)).toBeDefined();
  });

  it('are limited: the next call is told at once, and works again after the thaw', async () => {
    disk.freeze();
    const all = [];
    for (let i = 0; i < TASKS_IN_FLIGHT_MAX; i++) {
      // The second mount of a device waits for the first: EBUSY in the end, as it's the same place.
      all.push(mount({ ...disk.devices[i % STUCK_DEVICES]!, type: 'ext4' }));
    }
    const settled = Promise.allSettled(all);
    await stuckIn(process.pid);
    await expect(blockDeviceSize('/dev/none')).rejects.toMatchObject({
      code: 'EAGAIN',
      path: '/dev/none',
      message: expect.stringContaining('64 calls are in flight already, the limit'),
    });
    disk.thaw();
    const outcomes = await settled;
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(STUCK_DEVICES);
    await expect(blockDeviceSize('/dev/none')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('hold neither lock nor socket of a process that was told to exit', async () => {
    disk.freeze();
    const lines = start(EXITING);
    expect((await lines.next()).value).toBe('mounting');
    const pid = child!.pid!;
    await stuckIn(pid);
    expect(lockFile(`${disk.scratch.dir}/lock`)).toBeUndefined();
    expect(await connects(`${disk.scratch.dir}/socket`)).toBe(true);
    child!.stdin!.write('exit');
    const exited = once(child!, 'exit');
    const state = () => readFileSync(`/proc/${pid}/status`, 'utf8');
    await until('it has exited', () => state().includes('State:\tZ'));
    // The kernel keeps the process until its last thread is back, SIGKILL or not.
    expect(threadsInD(pid)).toBe(STUCK_DEVICES);
    const fd = lockFile(`${disk.scratch.dir}/lock`);
    expect(fd).toBeDefined();
    closeSync(fd!);
    expect(await connects(`${disk.scratch.dir}/socket`)).toBe(false);
    disk.thaw();
    expect((await exited)[0]).toBe(7);
  });

  it('outlive the worker that made them without harm', async () => {
    disk.freeze();
    const lines = start(ENDING_WORKER);
    expect((await lines.next()).value).toBe('mounting');
    await stuckIn(child!.pid!);
    child!.stdin!.write('end');
    expect((await lines.next()).value).toBe('worker ended');
    expect(threadsInD(child!.pid!)).toBe(STUCK_DEVICES);
    disk.thaw();
    await until('the calls are back', () => threadsInD(child!.pid!) === 0);
    await sleep(50);
    const exited = once(child!, 'exit');
    child!.stdin!.write('quit');
    expect(await exited).toEqual([0, null]);
  });
});
