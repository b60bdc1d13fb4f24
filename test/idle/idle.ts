/**
 * A host with no network at all, then left alone. The state folder has a disk of its own, so that the
 * kernel's block statistics count every byte that the agent causes to be written.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  EventsReply,
  StatusReply,
  VolumeBody,
} from '../../src/agent/faces/agent-api/schema.ts';
import { blockStat } from '../powercut/block-stat.ts';
import { Rig } from '../powercut/rig.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { NotifySocket } from '../support/notify-socket.ts';
import { mountPoints } from '../support/temp-folder.ts';

const BOOT_VOLUMES = ['first', 'second'];
/** All must stand still this long before the measurement begins: the kernel writes back after 30 s, looking every 5 s. */
const SETTLED_MS = 40_000;
const SETTLE_LIMIT_MS = 240_000;

export interface IdleOptions {
  readonly idleSeconds: number;
  readonly rescanSeconds: number;
  readonly say?: (text: string) => void;
}

export interface IdleResult {
  /** Network interfaces that the agent saw. */
  readonly interfaces: readonly string[];
  readonly ready: boolean;
  /** Boot volumes that the kernel has mounted, with the file from before. */
  readonly mounted: number;
  readonly syncState: string;
  /** A put and a get were served. */
  readonly served: boolean;
  readonly revisions: number;
  readonly bytesWritten: number;
  /** What happened meanwhile, by the agent's own account: why something was written. */
  readonly events: readonly string[];
  /** What one put afterwards wrote: the control, or the counting proves nothing. */
  readonly bytesOfOnePut: number;
}

export async function runIdle(options: IdleOptions): Promise<IdleResult> {
  const { say = () => undefined } = options;
  await using rig = await Rig.create();
  await using notify = await NotifySocket.open(rig.outside);
  const folder = path.join(rig.folder, 'agent');
  execFileSync('mkdir', [folder]);
  const config = configOf(options.rescanSeconds);
  await using earlier = await AgentProcess.start({ folder, config });
  await prepare(earlier);
  say('boot volumes made; the host "reboots" without any network');

  const env = { NOTIFY_SOCKET: notify.path };
  // A network namespace of its own, and nothing in it but a loopback that is down.
  const wrapper = ['unshare', '--net', '--'];
  await using agent = await AgentProcess.start({ folder, config, env, wrapper });
  await notify.waitFor('READY=1');
  const netDev = readFileSync(`/proc/${agent.child.pid}/net/dev`, 'utf8');
  const interfaces = [...netDev.matchAll(/^\s*(\S+):/gm)].map((match) => match[1]!);
  const mounted = await countMounted(agent);
  const served = await serves(agent);
  say(`ready, interfaces: ${interfaces.join(', ')}, ${mounted} boot volumes mounted; settling`);

  const before = await settle(agent, rig);
  say(`idle for ${options.idleSeconds} s from revision ${before.revision}`);
  await sleep(options.idleSeconds * 1000);
  const bytes = blockStat(rig.device).writtenBytes;
  const status = await agent.json<StatusReply>('status');
  const events = await eventsAfter(agent, before.seq);
  await agent.cli('kv', 'put', 'a', 'c');
  const bytesOfOnePut = blockStat(rig.device).writtenBytes - bytes;
  return {
    interfaces,
    ready: notify.messages.some((message) => message.startsWith('READY=1')),
    mounted,
    syncState: status.sync[0]?.state ?? 'none',
    served,
    revisions: status.engine.revision - before.revision,
    bytesWritten: bytes - before.bytes,
    events: events.map(({ type, message }) => `${type}: ${message}`),
    bytesOfOnePut,
  };
}

/** Targets that nobody will ever answer for: there is no way to them. */
function configOf(rescanSeconds: number): string {
  return `
devices: { rescanSeconds: ${rescanSeconds} }
sync: { targets: [{ type: etcd, endpoints: [127.0.0.1:2379] }] }
mqtt: { url: 'mqtt://127.0.0.1:1883' }
`;
}

/** An earlier life of the host, which made the boot volumes; then all is unmounted, as a reboot would leave it. */
async function prepare(agent: AgentProcess): Promise<void> {
  for (const name of BOOT_VOLUMES) {
    const args = ['volume', 'create', name, '--service', 'loop', '--size', '16M'];
    const made = await agent.json<VolumeBody>(...args, '--mount-at-boot', '--mount');
    writeFileSync(path.join(made.status.mountPoint!, 'name'), name, { flush: true });
  }
  await agent.stop();
  for (const at of mountPoints().filter((point) => point.startsWith(`${agent.stateDir}/`))) {
    const [device] = execFileSync('findmnt', ['-n', '-o', 'SOURCE', at], {
      encoding: 'utf8',
    }).split('\n');
    execFileSync('umount', [at]);
    execFileSync('losetup', ['--detach', device!]);
  }
}

async function countMounted(agent: AgentProcess): Promise<number> {
  const points = new Set(mountPoints());
  let count = 0;
  for (const name of BOOT_VOLUMES) {
    const { status } = await agent.json<VolumeBody>('volume', 'inspect', name);
    const at = status.mountPoint;
    if (at === undefined || !points.has(at)) continue;
    if (readFileSync(path.join(at, 'name'), 'utf8') === name) count += 1;
  }
  return count;
}

async function serves(agent: AgentProcess): Promise<boolean> {
  await agent.cli('kv', 'put', 'a', 'b');
  return (await agent.cli('kv', 'get', 'a')).stdout === 'b';
}

/**
 * Waits until what the start caused is over and on the disk: no revision, and nothing that the kernel
 * still writes back of it (the volumes' own journals, times of files that were read or written).
 */
async function settle(agent: AgentProcess, rig: Rig): Promise<Settled> {
  const limit = Date.now() + SETTLE_LIMIT_MS;
  let since = Date.now();
  let last = '';
  for (;;) {
    const { engine, sync } = await agent.json<StatusReply>('status');
    const bytes = blockStat(rig.device).writtenBytes;
    const now = `${engine.revision} ${bytes}`;
    if (now !== last || sync[0]?.state !== 'offline') since = Date.now();
    last = now;
    if (Date.now() - since > SETTLED_MS) {
      const seq = (await eventsAfter(agent, 0)).at(-1)?.seq ?? 0;
      return { revision: engine.revision, seq, bytes };
    }
    if (Date.now() > limit) throw new Error(`not idle: ${now}, ${JSON.stringify(sync)}`);
    await sleep(1_000);
  }
}

interface Settled {
  readonly revision: number;
  /** Number of the last event. */
  readonly seq: number;
  readonly bytes: number;
}

async function eventsAfter(agent: AgentProcess, seq: number): Promise<EventsReply['events']> {
  const answer = await agent.call<EventsReply>('GET', `/agent/v1/events?after=${seq}&limit=1000`);
  return answer.json.events;
}
