/**
 * npm run bench:startup [-- --runs 7 --write]: how long from the start of the process to READY, and what
 * an idle agent weighs, beside two peers measured in the same run: a bare node, and etcd, which is what
 * one would run for its store alone. `--write` puts the result into bench/results/startup.json.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startEtcd, startMosquitto, type Mosquitto } from '../test/servers/index.ts';
import { AgentProcess } from '../test/support/agent-process.ts';
import { Child } from '../test/support/child.ts';
import { projectRoot } from '../test/support/compiled.ts';

/** What a start may take, and weigh: issue 2, with one engine, HTTP and MQTT loaded. */
const READY_MS_MAX = 1_000;
const RSS_BYTES_MAX = 90_000_000;
/** The start's garbage is collected (trim-heap.ts, and V8's own memory reducer some 8 s after it). */
const IDLE_AFTER_MS = 30_000;

interface Weight {
  readonly rssBytes: number;
  readonly pssBytes: number;
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
if (values.help || !Number.isInteger(runs) || runs < 1) {
  console.log('usage: npm run bench:startup -- [--runs N] [--write]');
  process.exit(values.help ? 0 : 2);
}
process.exitCode = await main();

async function main(): Promise<number> {
  await using broker = await startMosquitto();
  const agentMs: number[] = [];
  const restartMs: number[] = [];
  const nodeMs: number[] = [];
  const etcdMs: number[] = [];
  // Taken in turns, so that a noisy moment of the machine is everybody's.
  for (let run = 0; run < runs; run += 1) {
    nodeMs.push(await bareNode());
    etcdMs.push(await etcdStart());
    await using agent = new AgentProcess({ config: configOf(broker) });
    agentMs.push(await readyMs(agent));
    await agent.stop();
    restartMs.push(await readyMs(agent));
  }
  const idle = await idleWeight(broker);
  const result = {
    at: new Date().toISOString(),
    machine: `${cpus().length} x ${cpus()[0]?.model.trim()}, node ${process.version}`,
    runs,
    firstStartToReadyMs: median(agentMs),
    nextStartToReadyMs: median(restartMs),
    peers: { bareNodeMs: median(nodeMs), etcdToServingMs: median(etcdMs), etcdIdle: idle.etcd },
    ratios: {
      nextStartToBareNode: ratio(median(restartMs), median(nodeMs)),
      nextStartToEtcd: ratio(median(restartMs), median(etcdMs)),
      idlePssToEtcd: ratio(idle.agent.pssBytes, idle.etcd.pssBytes),
    },
    idle: idle.agent,
    nativeModules: idle.nativeModules,
    budget: { readyMs: READY_MS_MAX, rssBytes: RSS_BYTES_MAX },
  };
  console.log(JSON.stringify(result, null, 2));
  if (values.write) write(result);
  const over: string[] = [];
  if (result.nextStartToReadyMs > READY_MS_MAX)
    over.push(`READY after ${result.nextStartToReadyMs} ms`);
  if (result.idle.rssBytes > RSS_BYTES_MAX) over.push(`RSS ${result.idle.rssBytes} bytes`);
  console.log(over.length === 0 ? 'within the budget' : `over the budget: ${over.join(', ')}`);
  return over.length === 0 ? 0 : 1;
}

function configOf(broker: Mosquitto): string {
  return `mqtt: { url: '${broker.url}' }\n`;
}

/** From just before the process is started to the report that follows READY=1. */
async function readyMs(agent: AgentProcess): Promise<number> {
  const startedAt = performance.now();
  await agent.launch();
  await agent.child.waitForOutput(/ is (ready|degraded) after /);
  return performance.now() - startedAt;
}

async function bareNode(): Promise<number> {
  const startedAt = performance.now();
  const child = await Child.start(process.execPath, ['-e', 'console.log("up")']);
  await child.waitForOutput(/up/);
  return performance.now() - startedAt;
}

/** To the moment it serves, as its own log says; its health check would add an election. */
async function etcdStart(): Promise<number> {
  const startedAt = performance.now();
  const etcd = await startEtcd();
  const tookMs = performance.now() - startedAt;
  await etcd.stop();
  return tookMs;
}

async function idleWeight(broker: Mosquitto) {
  await using etcd = await startEtcd();
  await using agent = await AgentProcess.start({ config: configOf(broker) });
  await sleep(IDLE_AFTER_MS);
  const maps = readFileSync(`/proc/${agent.child.pid}/maps`, 'utf8');
  const modules = [...maps.matchAll(/\/([^/\s]+\.node)$/gm)].map((match) => match[1]!);
  return {
    agent: weightOf(agent.child.pid),
    etcd: weightOf(etcd.pid),
    nativeModules: [...new Set(modules)].toSorted(),
  };
}

/** proc(5), smaps_rollup: Pss counts a shared page once over all that share it. */
function weightOf(pid: number): Weight {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]);
  return { rssBytes: kib('Rss') * 1024, pssBytes: kib('Pss') * 1024 };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)]!);
}

function ratio(a: number, b: number): number {
  return Number((a / b).toFixed(2));
}

function write(result: object): void {
  const folder = path.join(projectRoot, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  const text = JSON.stringify({ commit: commit.trim(), ...result }, null, 2);
  writeFileSync(path.join(folder, 'startup.json'), `${text}\n`);
}
