/**
 * Opens a store in a process of its own and prints a verdict as JSON: what a damaged store does to the
 * process that opens it must not reach the test. A watch goes on where the last one ended. Then it writes a
 * little and closes, as the next agent would.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CHANGES_REVISIONS_MAX, openEngine, type BackendName } from '../../src/engine/index.ts';
import { Account, type Told } from './told.ts';
import { phantomOf, verify, type Verdict } from './verify.ts';
import { watchOn } from './verify-watch.ts';
import { valueOf } from './workload.ts';

/** The verdict, and what goes into the account after it: phantoms, what the checker wrote and watched. */
export interface Report extends Verdict {
  readonly told: readonly Told[];
}

const { values } = parseArgs({
  options: {
    backend: { type: 'string' },
    path: { type: 'string' },
    account: { type: 'string' },
    epoch: { type: 'string' },
  },
});

const account = Account.parse(readFileSync(values.account ?? '', 'utf8'));
const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
});
const found = await verify(engine, account.acks, account);
const told: Told[] = (await engine.changes(account.revision, CHANGES_REVISIONS_MAX)).map(phantomOf);
for (let i = 0; i < 3; i += 1) {
  const key = `checker/${i}`;
  const serial = `${values.epoch ?? ''}.check${i}`;
  const revision = await engine.put(key, valueOf(key, serial));
  told.push({ revision, ops: [[key, serial]] });
}
told.push(...(await watchOn(engine, account.lastSeen)));
account.addAll(told);
const { phantoms, revision } = found;
const isWhole = found.lost + found.broken === 0;
const own = Account.of(told);
const verdict = isWhole ? await verify(engine, own.acks, account) : found;
await engine.close();
const report: Report = { ...verdict, phantoms, revision, told };
console.log(JSON.stringify(report));
