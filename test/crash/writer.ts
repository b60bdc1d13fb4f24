/**
 * The process that gets killed: opens a store, watches all of it, and writes until then. Prints `open` and
 * what told.ts says, each by a write(2) of its own, so what was printed survives SIGKILL.
 * First come the phantoms: what it finds after the last acknowledged revision, written by the one before
 * it, is as good as acknowledged from then on.
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngine, type BackendName } from '../../src/engine/index.ts';
import { Random } from './random.ts';
import { digestOf, tell } from './told.ts';
import { phantomOf } from './verify.ts';
import { Workload } from './workload.ts';

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    durability: { type: 'string' },
    seed: { type: 'string' },
    epoch: { type: 'string' },
    after: { type: 'string' },
    seen: { type: 'string' },
    compact: { type: 'boolean' },
    early: { type: 'boolean' },
  },
});

const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
  unsafeDurability: values.durability === 'none' ? 'none' : 'commit',
});

async function watch(): Promise<void> {
  const { signal } = new AbortController();
  for await (const set of engine.watch('', { from: Number(values.seen) + 1, signal })) {
    tell({ seen: set.revision, crc: digestOf(set) });
  }
}

const watching = watch();
for (const set of await engine.changes(Number(values.after), 1000)) tell(phantomOf(set));
writeSync(1, 'open\n');
const workload = new Workload({
  engine,
  random: new Random(Number(values.seed)),
  epoch: values.epoch ?? '',
  compacts: values.compact ?? false,
  tell,
});
await Promise.all([watching, values.early ? workload.runEarly() : workload.run()]);
