/** What else the process can do while it writes as fast as it can. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { VALUE_BYTES } from './against-peer.ts';
import { Load } from './load.ts';
import { EngineSubject, type BackendName } from './subject.ts';
import type { Plan } from './plan.ts';
import type { Row } from './row.ts';

const P99_MS_MAX = 10;
const IN_FLIGHT = 1000;
const RESOLUTION_MS = 1;

export async function loopDelay(backend: BackendName, folder: string, plan: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const valueBytes of VALUE_BYTES) {
    const subject = await EngineSubject.open(backend, `${folder}/delay-${valueBytes}`);
    const load = new Load(plan.keys, valueBytes);
    await subject.fill(load);
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const ms = plan.rounds * plan.sliceMs;
    const puts = await subject.putFor(load, IN_FLIGHT, ms);
    delay.disable();
    await subject.close();
    const [p50, p99] = [50, 99].map((share) => delay.percentile(share) / 1e6);
    rows.push({
      id: `${backend} loop delay p99, ${valueBytes === 1024 ? '1 KiB' : `${valueBytes} B`}`,
      measured: p99!,
      unit: 'ms',
      target: { atMost: P99_MS_MAX },
      detail: `p50 ${p50!.toFixed(1)}, max ${(delay.max / 1e6).toFixed(1)} ms at ${Math.round((puts / ms) * 1000)} puts/s`,
    });
  }
  return rows;
}
