/**
 * npm run demo: a host that loses its distributed store, makes volumes all the same, is killed, and
 * tells everybody the truth again when the store comes back. Real etcd, real mosquitto, real mounts.
 * Exits 1 when the remote tree or the retained topics differ from what the host has.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  DevicesReply,
  StatusReply,
  VolumeBody,
  VolumesReply,
} from '../../src/agent/faces/agent-api/schema.ts';
import { startEtcd, startMosquitto, type Etcd, type Mosquitto } from '../servers/index.ts';
import { AgentProcess } from '../support/agent-process.ts';
import {
  differences,
  localTree,
  remoteTree,
  topicDifferences,
  topicsOf,
  type Tree,
} from './compare.ts';

const FILE = 'note.txt';
/** etcd elects itself and the replicator's backoff is 1 s at first and 60 s at most. */
const CATCH_UP_MS = 120_000;
/** The feed sends a topic that changes all the time only now and then. */
const TOPICS_MS = 30_000;

function say(text: string): void {
  console.log(`\n── ${text}`);
}

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    console.error('demo: loop volumes need root; run it as root');
    return 1;
  }
  say('a real etcd and a real mosquitto, on loopback');
  await using etcd = await startEtcd();
  await using broker = await startMosquitto();
  console.log(`etcd ${etcd.endpoint}, mosquitto ${broker.url}`);
  await using agent = await AgentProcess.start({ config: configOf(etcd, broker) });
  console.log(
    agent.child.output
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('{'))
      .join('\n'),
  );
  const status = await agent.json<StatusReply>('status');
  const { replicaId } = status;

  const sum = await createAndFill(agent);
  await outage(agent, etcd);
  checkFile(await mountPointOf(agent), sum, 'after SIGKILL and start');

  say('etcd comes back');
  await etcd.restart();
  await caughtUp(agent);
  for (const target of (await agent.json<StatusReply>('status')).sync) {
    console.log(`sync ${target.target}: ${target.state}, ${target.lagRevisions} revisions behind`);
  }

  const topicLines = await compareTopics(agent, broker, replicaId);
  say('the agent stops (mounts stay), its store is compared with what etcdctl reads');
  await agent.stop();
  const here = await localTree(path.join(agent.stateDir, 'engine'));
  const there = await remoteTree(etcd, replicaId);
  printTrees(here, there);
  const treeLines = differences(here, there);

  const all = [...topicLines, ...treeLines];
  say(all.length === 0 ? 'no difference' : `${all.length} differences`);
  for (const line of all) console.log(line);
  return all.length === 0 ? 0 : 1;
}

function configOf(etcd: Etcd, broker: Mosquitto): string {
  return `
sync:
  targets:
    - type: etcd
      endpoints: [${etcd.endpoint}]
mqtt:
  url: ${broker.url}
`;
}

/** @returns the checksum of the file */
async function createAndFill(agent: AgentProcess): Promise<string> {
  say('a 1 GiB loop volume over the libStorage API, mounted, with a file on it');
  const created = await agent.call('POST', '/volumes/loop', { name: 'first', size: 1 });
  if (created.status !== 201) throw new Error(`create: ${created.status} ${created.text}`);
  console.log(created.text);
  const mounted = await agent.call<VolumeBody>('POST', '/agent/v1/volumes/first/mount');
  const at = mounted.status === 200 ? mounted.json.status.mountPoint : undefined;
  if (at === undefined) throw new Error(`mount: ${mounted.status} ${mounted.text}`);
  const content = randomBytes(1024 * 1024);
  writeFileSync(path.join(at, FILE), content, { flush: true });
  const sum = createHash('sha256').update(content).digest('hex');
  console.log(`mounted at ${at}\n${FILE}: ${content.length} bytes, sha256 ${sum}`);
  await caughtUp(agent);
  return sum;
}

async function outage(agent: AgentProcess, etcd: Etcd): Promise<void> {
  say('etcd stops; two more volumes');
  await etcd.kill();
  for (const name of ['second', 'third']) {
    const { stdout, stderr, code } = await agent.cli(
      'volume',
      'create',
      name,
      '--service',
      'loop',
      '--size',
      '64M',
    );
    if (code !== 0) throw new Error(`create ${name}: exit ${code}: ${stderr}`);
    console.log(stdout.split('\n').slice(0, 2).join('\n'));
  }
  say('SIGKILL to the agent, and a new start');
  console.log(`killed pid ${agent.child.pid}`);
  await agent.kill();
  await agent.start();
  const { stdout } = await agent.cli('volume', 'ls');
  console.log(stdout);
}

async function mountPointOf(agent: AgentProcess): Promise<string> {
  const volume = await agent.json<VolumeBody>('volume', 'inspect', 'first');
  return volume.status.mountPoint ?? '(not mounted)';
}

function checkFile(mountPoint: string, sum: string, when: string): void {
  const content = readFileSync(path.join(mountPoint, FILE));
  const now = createHash('sha256').update(content).digest('hex');
  if (now !== sum) throw new Error(`${FILE} ${when}: sha256 ${now}, was ${sum}`);
  console.log(`${FILE} ${when}: ${content.length} bytes, sha256 the same`);
}

/** Waits until every target has everything. */
async function caughtUp(agent: AgentProcess): Promise<void> {
  const deadline = Date.now() + CATCH_UP_MS;
  for (;;) {
    const { sync } = await agent.json<StatusReply>('status');
    if (sync.every((target) => target.state === 'current' && target.lagRevisions === 0)) return;
    if (Date.now() > deadline) throw new Error(`not caught up: ${JSON.stringify(sync)}`);
    await sleep(200);
  }
}

/** The retained topics must come to say what the agent says. @returns the differences that stay */
async function compareTopics(
  agent: AgentProcess,
  broker: Mosquitto,
  replicaId: string,
): Promise<string[]> {
  say('what mosquitto_sub reads, retained, compared with what the agent says');
  const deadline = Date.now() + TOPICS_MS;
  for (;;) {
    const topics = topicsOf(await broker.sub(`holdfast/${replicaId}/#`, { seconds: 1 }), replicaId);
    const lines = topicDifferences(await wantedTopics(agent), topics);
    if (lines.length > 0 && Date.now() < deadline) continue;
    for (const [topic, payload] of topics) console.log(`${topic}  ${JSON.stringify(payload)}`);
    return lines;
  }
}

async function wantedTopics(agent: AgentProcess): Promise<ReadonlyMap<string, object>> {
  const { volumes } = (await agent.call<VolumesReply>('GET', '/agent/v1/volumes')).json;
  const { devices } = (await agent.call<DevicesReply>('GET', '/agent/v1/devices')).json;
  const status = (await agent.call<StatusReply>('GET', '/agent/v1/status')).json;
  const { state, epoch, version, replicaId } = status;
  const targets = status.sync.map(({ target, state: now, lagRevisions }) => ({
    target,
    state: now,
    lagRevisions,
  }));
  return new Map<string, object>([
    ['state', { state, epoch, version }],
    ['info', { replicaId, epoch, version }],
    ['sync', { targets }],
    ...devices.map(({ id, name, sizeBytes, mountPoints, present }) => {
      return [`devices/${id}`, { id, name, sizeBytes, mountPoints, present }] as const;
    }),
    ...volumes.map(({ spec: { id, name, sizeBytes }, status: { phase, mountPoint } }) => {
      return [`volumes/${id}`, { id, name, sizeBytes, phase, mountPoint }] as const;
    }),
  ]);
}

function printTrees(here: Tree, there: Tree): void {
  const keys = [...new Set([...here.keys(), ...there.keys()])].toSorted();
  const mark = (tree: Tree, key: string): string => `${tree.get(key)?.length ?? '-'}`.padStart(6);
  console.log('  here  etcd  key (sizes in characters)');
  for (const key of keys) console.log(`${mark(here, key)}${mark(there, key)}  ${key}`);
}

process.exitCode = await main();
