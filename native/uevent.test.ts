/**
 * Goal: the kernel's own uevents arrive, those of a process don't, a flood that overflows the queue says so, and
 * neither a worker nor a process is kept or killed by an open watch. Method: real loop devices; python3 forges.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loopAttach, watchUevents } from './index.ts';
import { Scratch } from './scratch.ts';

const isRoot = process.getuid?.() === 0;
const ADDON = fileURLToPath(new URL('build/Release/holdfast.node', import.meta.url));
/** More than any queue of 1 MiB takes. */
const FLOOD = 20_000;
const DEADLINE_MS = 30_000;

/** Sends to the kernel's group and to this process' own port, and shows that the first is really heard. */
const FORGER = `
import socket, sys
def open_socket(groups):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
    s.bind((0, groups))
    return s
heard, forger = open_socket(1), open_socket(0)
heard.settimeout(10)
message = b'add@/forged\\0ACTION=add\\0DEVPATH=/forged\\0SUBSYSTEM=block\\0SEQNUM=1\\0'
forger.sendto(message, (0, 1))
try:
    forger.sendto(message, (int(sys.argv[1]), 0))
except ConnectionRefusedError:
    pass
while not heard.recv(65536).startswith(b'add@/forged'):
    pass
print('heard')
`;

describe.runIf(isRoot)('watchUevents (needs root: loop devices)', () => {
  let scratch: Scratch;
  let device: string;
  let stop: (() => void) | undefined;
  beforeEach(async () => {
    scratch = new Scratch();
    ({ path: device } = await loopAttach({ backingFile: scratch.image('disk', 1024 * 1024) }));
  });
  afterEach(() => {
    stop?.();
    scratch[Symbol.dispose]();
  });

  /** Has the kernel say that our own device changed, in one turn of this loop. */
  function change(times: number, uuid = '00000000-0000-4000-8000-000000000000'): void {
    const file = `/sys/block/${path.basename(device)}/uevent`;
    for (let i = 0; i < times; i += 1) writeFileSync(file, `change ${uuid} N=${i + 1}`);
  }

  function listen() {
    const heard: string[] = [];
    let losses = 0;
    stop = watchUevents('block', (messages, lost) => {
      heard.push(...messages);
      if (lost) losses += 1;
    });
    const mine = () => heard.filter((one) => one.includes(`/${path.basename(device)}\0`));
    return { heard, mine, losses: () => losses };
  }

  const eventually = { timeout: DEADLINE_MS, interval: 10 };

  it('hears what the kernel says of a block device, whole and in order', async () => {
    const { mine } = listen();
    change(3);
    await expect.poll(() => mine().length, eventually).toBe(3);
    const variables = mine().map((message) => message.split('\0'));
    expect(variables.map((one) => one.find((text) => text.startsWith('SYNTH_ARG_N=')))).toEqual([
      'SYNTH_ARG_N=1',
      'SYNTH_ARG_N=2',
      'SYNTH_ARG_N=3',
    ]);
    expect(variables[0]).toContain(`DEVNAME=${path.basename(device)}`);
  });

  it('drops what a process says, also when it was sent to this very process', async () => {
    const { heard, mine } = listen();
    const said = execFileSync('python3', ['-c', FORGER, `${process.pid}`], { encoding: 'utf8' });
    expect(said).toBe('heard\n');
    change(1);
    await expect.poll(() => mine().length, eventually).toBe(1);
    expect(heard.filter((one) => one.includes('forged'))).toEqual([]);
  });

  it('says that something was lost in a flood, and goes on hearing after it', async () => {
    const { mine, losses } = listen();
    change(FLOOD);
    await expect.poll(losses, eventually).toBeGreaterThan(0);
    expect(mine().length).toBeLessThan(FLOOD);
    const after = '00000000-0000-4000-8000-00000000000f';
    // While the queue is still full, this one is lost too.
    const heardAgain = (): boolean => {
      change(1, after);
      return mine().some((message) => message.includes(`SYNTH_UUID=${after}`));
    };
    await expect.poll(heardAgain, eventually).toBe(true);
  });

  it('hears nothing of other subsystems, and nothing once it was stopped', async () => {
    const { mine } = listen();
    const other: string[] = [];
    const stopOther = watchUevents('bloc', (messages) => other.push(...messages));
    change(1);
    await expect.poll(() => mine().length, eventually).toBe(1);
    stop!();
    stop!();
    change(1);
    const again = listen();
    change(1);
    await expect.poll(() => again.mine().length, eventually).toBe(1);
    expect([mine().length, other]).toEqual([1, []]);
    stopOther();
  });
});

describe('an open watch', () => {
  const program = `
    const { watchUevents } = require(${JSON.stringify(ADDON)});
    for (let i = 0; i < 3; i += 1) watchUevents('block', () => {});`;

  it('keeps no process alive', () => {
    const { status, signal } = spawnSync(process.execPath, ['-e', program], {
      timeout: DEADLINE_MS,
    });
    expect([status, signal]).toEqual([0, null]);
  });

  it('ends with its worker', async () => {
    const worker = new Worker(
      `${program} setInterval(() => {}, 1000);
      require('node:worker_threads').parentPort.postMessage('open');`,
      { eval: true },
    );
    await once(worker, 'message');
    expect(await worker.terminate()).toBe(1);
  });
});
