/**
 * The process that gets killed with live leases: it grants, puts keys under them, keeps them alive and
 * revokes some, until then. Prints a JSON line for each step that was acknowledged (and before each end
 * that it asks for), by a write(2) of its own, so what was printed survives SIGKILL.
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngine, type BackendName } from '../../src/engine/index.ts';
import { Random } from './random.ts';

/** `ending`: from here on the lease may be there or not. */
export interface LeaseAck {
  readonly step: 'granted' | 'put' | 'ending';
  readonly lease: number;
  readonly key?: string;
}

const KEYS_MAX = 12;
const AT_ONCE = 8;

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    seed: { type: 'string' },
    ttl: { type: 'string' },
  },
});
const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
});
const random = new Random(Number(values.seed));
const tell = (ack: LeaseAck): void => void writeSync(1, `${JSON.stringify(ack)}\n`);

async function live(name: string): Promise<void> {
  const lease = await engine.leases.grant(Number(values.ttl));
  tell({ step: 'granted', lease });
  const keys = random.below(KEYS_MAX);
  for (let i = 0; i < keys; i += 1) {
    const key = `held/${name}/${i}`;
    await engine.put(key, Buffer.from(name), { lease });
    tell({ step: 'put', lease, key });
  }
  if (random.below(3) === 0) {
    tell({ step: 'ending', lease });
    await engine.leases.revoke(lease);
  }
}

for (let round = 0; ; round += 1) {
  await Promise.all(
    Array.from({ length: AT_ONCE }, (_, i) => live(`${values.seed}.${round}.${i}`)),
  );
  for (const { id } of await engine.leases.list()) await engine.leases.keepAlive(id);
}
