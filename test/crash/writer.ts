/**
 * The process that gets killed: opens a store and writes until then. Prints `open` and one JSON line
 * for each acknowledged revision, by a write(2) of its own, so what was printed survives SIGKILL.
 * First come the phantoms: what it finds after the last acknowledged revision, written by the one before
 * it, is as good as acknowledged from then on.
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngine, type BackendName } from '../../src/engine/index.ts';
import { Random } from './random.ts';
import { serialOf, Workload, type Ack } from './workload.ts';

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    durability: { type: 'string' },
    seed: { type: 'string' },
    epoch: { type: 'string' },
    after: { type: 'string' },
    compact: { type: 'boolean' },
  },
});

const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
  unsafeDurability: values.durability === 'none' ? 'none' : 'commit',
});
function tell(ack: Ack): void {
  writeSync(1, `${JSON.stringify(ack)}\n`);
}

for (const { revision, changes } of await engine.changes(Number(values.after), 1000)) {
  const ops = changes.map(
    ({ type, kv }) =>
      [kv.key, type === 'delete' ? null : (serialOf(kv.key, kv.value) ?? '')] as const,
  );
  tell({ revision, ops });
}
writeSync(1, 'open\n');
await new Workload({
  engine,
  random: new Random(Number(values.seed)),
  epoch: values.epoch ?? '',
  compacts: values.compact ?? false,
  acknowledged: tell,
}).run();
