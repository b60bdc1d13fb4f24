/**
 * Opens a store in a process of its own and prints a verdict as JSON: what a damaged store does to the
 * process that opens it must not reach the test. Then it writes a little and closes, as the next agent would.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngine, type BackendName } from '../../src/engine/index.ts';
import { verify, type Verdict } from './verify.ts';
import { valueOf, type Ack } from './workload.ts';

/** The verdict, and what the checker itself was acknowledged. */
export interface Report extends Verdict {
  readonly acks: readonly Ack[];
}

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    acks: { type: 'string' },
    epoch: { type: 'string' },
  },
});

const acks = readFileSync(values.acks ?? '', 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Ack);
const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
});
const verdict = await verify(engine, acks);
const own: Ack[] = [];
for (let i = 0; i < 3; i += 1) {
  const key = `checker/${i}`;
  const serial = `${values.epoch ?? ''}.check${i}`;
  const revision = await engine.put(key, valueOf(key, serial));
  own.push({ revision, ops: [[key, serial]] });
}
await engine.close();
const report: Report = { ...verdict, acks: own };
console.log(JSON.stringify(report));
