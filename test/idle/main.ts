/**
 * npm run test:idle [-- --minutes 10]: a host with no network is ready, has its boot volumes, serves,
 * and then writes nothing. Exits 1 when any of that isn't so.
 */
import { parseArgs } from 'node:util';
import { runIdle } from './idle.ts';
import { faultsOf } from './faults.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    help: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
if (values.help || !(minutes > 0)) {
  console.log(
    'usage: npm run test:idle [-- --minutes N]     needs root; N minutes and about half a minute more',
  );
  process.exit(values.help ? 0 : 2);
}
const say = (text: string): void => console.log(`${new Date().toISOString()} ${text}`);
const result = await runIdle({ idleSeconds: minutes * 60, rescanSeconds: 60, say });
console.log(JSON.stringify(result, null, 2));
const faults = faultsOf(result);
console.log(faults.length === 0 ? `idle for ${minutes} min: nothing written` : faults.join('\n'));
process.exitCode = faults.length === 0 ? 0 : 1;
