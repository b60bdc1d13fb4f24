/**
 * The process that gets killed while it deletes on a full disk: one key after the other, each told by a
 * write(2) of its own when it was acknowledged, so what was told survives SIGKILL.
 */
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openEngine, type BackendName } from '../../src/engine/index.ts';

const { values } = parseArgs({
  options: { backend: { type: 'string' }, path: { type: 'string' } },
});
const engine = await openEngine({
  backend: values.backend as BackendName,
  path: values.path ?? '',
});
const { kvs } = await engine.list('fill');
for (const { key } of kvs) {
  await engine.delete(key);
  writeSync(1, `${key}\n`);
}
