import { readFile } from 'node:fs/promises';
import type { Engine } from '../engine/index.ts';
import { VERSION } from './version.ts';

const KEY = 'host/agent';

interface LastRun {
  readonly bootId: string;
  /** Starts within this boot, from 1. */
  readonly starts: number;
  readonly version: string;
  readonly startedAt: string;
}

/** Changes at every boot of the kernel (random(4)); device names and pids mean nothing across it. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

/** Notes this start in the engine. @returns `<boot id>.<start number>`, different at every start */
export async function beginEpoch(engine: Engine, bootId: string): Promise<string> {
  const kv = await engine.get(KEY);
  const last = kv && (JSON.parse(Buffer.from(kv.value).toString('utf8')) as LastRun);
  const starts = last?.bootId === bootId ? last.starts + 1 : 1;
  const run: LastRun = { bootId, starts, version: VERSION, startedAt: new Date().toISOString() };
  await engine.put(KEY, Buffer.from(JSON.stringify(run)));
  return `${bootId}.${starts}`;
}
