/** A million keys against a thousand: the same engine twice, one of them a thousand times larger. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { compiledProgram } from '../../test/support/compiled.ts';
import { Load } from './load.ts';
import { inTurns, median } from './measure.ts';
import { slowdownRow, type Row } from './row.ts';
import { EngineSubject, type BackendName } from './subject.ts';
import type { OpenReport } from './open-store.ts';
import type { Plan } from './plan.ts';

const SMALL_KEYS = 1000;
const GET_SLOWDOWN_MAX = 3;
const LONE_PUT_SLOWDOWN_MAX = 2;
const BATCHED_PUT_SLOWDOWN_MAX = 8;
const OPEN_MS_MAX = 50;
const ANONYMOUS_MAX = 1.5;
/** Processes that only open the store and read from it. */
const OPENINGS = 3;
const BATCHED = 1000;

const run = promisify(execFile);

export async function bigStore(backend: BackendName, folder: string, plan: Plan): Promise<Row[]> {
  const paths = { big: path.join(folder, 'big'), small: path.join(folder, 'small') };
  const rows = await sideBySide(backend, paths, plan);
  const big: OpenReport[] = [];
  const small: OpenReport[] = [];
  for (let opening = 0; opening < OPENINGS; opening += 1) {
    big.push(await openElsewhere(backend, paths.big, plan.bigKeys));
    small.push(await openElsewhere(backend, paths.small, SMALL_KEYS));
  }
  const openMs = (reports: readonly OpenReport[]): number => median(reports.map((r) => r.openMs));
  const anonymous = (reports: readonly OpenReport[]): number =>
    median(reports.map((r) => r.anonymousBytes));
  const mb = (reports: readonly OpenReport[]): string => (anonymous(reports) / 1e6).toFixed(1);
  rows.push(
    {
      id: `${backend} big store, open`,
      measured: openMs(big),
      unit: 'ms',
      target: { atMost: OPEN_MS_MAX },
      detail: `small store ${openMs(small).toFixed(1)} ms`,
    },
    {
      id: `${backend} big store, anonymous memory`,
      measured: anonymous(big) / anonymous(small),
      unit: 'x',
      target: { atMost: ANONYMOUS_MAX },
      detail: `${mb(big)} : ${mb(small)} MB after the same reads and puts`,
    },
  );
  return rows;
}

async function sideBySide(
  backend: BackendName,
  paths: { readonly big: string; readonly small: string },
  plan: Plan,
): Promise<Row[]> {
  const big = await EngineSubject.open(backend, paths.big);
  const small = await EngineSubject.open(backend, paths.small);
  const bigLoad = new Load(plan.bigKeys, 100);
  const smallLoad = new Load(SMALL_KEYS, 100);
  await big.fill(bigLoad);
  await small.fill(smallLoad);
  const { rounds, sliceMs } = plan;
  const gets = await inTurns(
    rounds,
    sliceMs,
    (ms) => big.getFor(bigLoad, ms),
    (ms) => small.getFor(smallLoad, ms),
  );
  const puts = (inFlight: number) =>
    inTurns(
      rounds,
      sliceMs,
      (ms) => big.putFor(bigLoad, inFlight, ms),
      (ms) => small.putFor(smallLoad, inFlight, ms),
    );
  const rows = [
    slowdownRow(backend, 'big store, get', GET_SLOWDOWN_MAX, gets),
    slowdownRow(backend, 'big store, lone put', LONE_PUT_SLOWDOWN_MAX, await puts(1)),
    slowdownRow(
      backend,
      `big store, put ${BATCHED} in flight`,
      BATCHED_PUT_SLOWDOWN_MAX,
      await puts(BATCHED),
    ),
  ];
  await big.close();
  await small.close();
  return rows;
}

/** In a process of its own, for what this one has on its heap would be weighed too. */
async function openElsewhere(
  backend: BackendName,
  folder: string,
  keys: number,
): Promise<OpenReport> {
  const program = compiledProgram('bench/engine/open-store.ts', ['bench/engine', 'src/engine']);
  const { stdout } = await run(process.execPath, [
    '--expose-gc',
    program,
    backend,
    folder,
    String(keys),
  ]);
  return JSON.parse(stdout) as OpenReport;
}
