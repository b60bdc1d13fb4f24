/** Program: `open-store BACKEND FOLDER KEYS`: opens a store, uses it a little and prints an OpenReport. */
import { readFileSync } from 'node:fs';
import { openEngine } from '../../src/engine/index.ts';
import { keyOf } from './load.ts';
import type { BackendName } from './subject.ts';

export interface OpenReport {
  readonly openMs: number;
  /** Of proc(5)'s smaps_rollup: what is neither a file's page nor shared. */
  readonly anonymousBytes: number;
}

const READS = 20_000;
const WRITES = 200;

const [backend, folder, keys] = process.argv.slice(2) as [BackendName, string, string];
// The library is loaded before: what is asked is what the store costs.
await (backend === 'sqlite' ? import('better-sqlite3') : import('lmdb'));
const startedAt = performance.now();
const engine = await openEngine({ backend, path: folder });
const openMs = performance.now() - startedAt;
/** Coprime to both key counts, so that the reads go all over the store. */
const STEP = 7919;
for (let i = 0; i < READS; i += 1) await engine.get(keyOf((i * STEP) % Number(keys)));
for (let i = 0; i < WRITES; i += 1) {
  await engine.put(keyOf((i * STEP) % Number(keys)), Buffer.alloc(100, i));
}
globalThis.gc?.();
const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8');
const anonymousBytes = Number(/^Anonymous:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024;
await engine.close();
console.log(JSON.stringify({ openMs, anonymousBytes } satisfies OpenReport));
