/**
 * npm run bench:engine [-- --quick --only TEXT --write]: the table of issue 3. Each backend is measured against
 * its own raw library on the same work, the same disk and in turns, for this machine is never quiet; a
 * real etcd is reported beside them. Exits 1 on a miss that no decision record explains.
 * `--write` puts the result into bench/results/engine.json. Needs root for the bytes on the disk.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startEtcd } from '../test/servers/index.ts';
import { projectRoot } from '../test/support/compiled.ts';
import { makeTempFolder, removeTempFolder } from '../test/support/temp-folder.ts';
import { againstPeer } from './engine/against-peer.ts';
import { bigStore } from './engine/big-store.ts';
import { diskBytes } from './engine/disk-bytes.ts';
import { Load } from './engine/load.ts';
import { loopDelay } from './engine/loop-delay.ts';
import { rateOf } from './engine/measure.ts';
import { FULL, QUICK, type Plan } from './engine/plan.ts';
import { EXPLAINED, formatRow, verdictOf, type Row } from './engine/row.ts';
import { BACKENDS, EtcdSubject, type BackendName } from './engine/subject.ts';
import { watching } from './engine/watching.ts';

type Part = (backend: BackendName, folder: string, plan: Plan) => Promise<Row[]>;

const PARTS: Readonly<Record<string, Part>> = {
  peer: againstPeer,
  watch: watching,
  loop: loopDelay,
  big: bigStore,
};
const NAMES = [...Object.keys(PARTS), 'disk', 'etcd'];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const wrong = values.only.filter((name) => !NAMES.includes(name));
if (values.help || wrong.length > 0) {
  console.log(`usage: npm run bench:engine -- [--quick] [--write] [--only ${NAMES.join('|')} ...]`);
  process.exit(values.help ? 0 : 2);
}
process.exitCode = await main(values.quick ? QUICK : FULL);

async function main(plan: Plan): Promise<number> {
  const loadBefore = loadavg()[0]!;
  const rows: Row[] = [];
  const add = (more: readonly Row[]): void => {
    for (const row of more) console.log(formatRow(row));
    rows.push(...more);
  };
  for (const [name, part] of Object.entries(PARTS)) {
    if (!wanted(name)) continue;
    for (const backend of BACKENDS) {
      const folder = makeTempFolder('bench-engine');
      try {
        add(await part(backend, folder, plan));
      } finally {
        removeTempFolder(folder);
      }
    }
  }
  if (wanted('disk')) add(await diskBytes(plan));
  const etcd = wanted('etcd') ? await etcdRates(plan) : undefined;
  if (etcd) console.log(`etcd, through our client, per second: ${JSON.stringify(etcd)}`);
  const load = { before: loadBefore, after: loadavg()[0]! };
  if (values.write) write(rows, plan, { etcd, load });
  return summary(rows);
}

function wanted(name: string): boolean {
  return values.only.length === 0 || values.only.includes(name);
}

/** 100 B values, one store; the client and the server share the cores, as they would on an edge host. */
async function etcdRates(plan: Plan): Promise<Record<string, number>> {
  await using server = await startEtcd();
  const etcd = new EtcdSubject(server.endpoint);
  const load = new Load(plan.keys, 100);
  const rates: Record<string, number> = {};
  const ms = plan.sliceMs * 4;
  for (const inFlight of [1, 64, 1000]) {
    rates[`put ${inFlight} in flight`] = Math.round(
      await rateOf((slice) => etcd.putFor(load, inFlight, slice), ms),
    );
  }
  for (const inFlight of [1, 64]) {
    rates[`get ${inFlight} in flight`] = Math.round(
      await rateOf((slice) => etcd.getFor(load, inFlight, slice), ms),
    );
  }
  etcd.close();
  return rates;
}

function summary(rows: readonly Row[]): number {
  const lost = Object.values(EXPLAINED)
    .map(({ record }) => record)
    .filter((file) => !existsSync(path.join(projectRoot, 'docs/decisions', file)));
  for (const file of lost) console.log(`docs/decisions/${file} is missing: it explains nothing`);
  const misses = rows.filter((row) => verdictOf(row) === 'MISS');
  const measured = rows.filter((row) => row.target).length;
  console.log(`${measured - misses.length} of ${measured} targets met or explained`);
  return misses.length + lost.length === 0 ? 0 : 1;
}

function write(rows: readonly Row[], plan: Plan, beside: object): void {
  const folder = path.join(projectRoot, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  const result = {
    commit: commit.trim(),
    at: new Date().toISOString(),
    machine: `${cpus().length} x ${cpus()[0]?.model.trim()}, node ${process.version}`,
    plan,
    ...beside,
    rows: rows.map((row) => ({
      ...row,
      verdict: verdictOf(row),
      explainedBy: EXPLAINED[row.id]?.record,
    })),
  };
  writeFileSync(path.join(folder, 'engine.json'), `${JSON.stringify(result, null, 2)}\n`);
}
