/** `holdfast kv check` as a user runs it, with what it took: time, and memory of all its processes. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openEngine, TXN_OPS_MAX, type CheckReport, type Op } from '../../src/engine/index.ts';
import { KiB } from '../../src/base/bytes.ts';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import type { FileBackend } from './store-files.ts';

/** Often enough to see a peak, seldom enough to cost nothing. */
const LOOK_MS = 50;
const VALUE_BYTES = 100;
const TXN_KEYS = TXN_OPS_MAX;

export interface CheckRun {
  readonly report: CheckReport;
  readonly code: number | null;
  readonly seconds: number;
  /** Anonymous memory of its processes at the peak; pages of a mapped file are the kernel's to take back. */
  readonly peakBytes: number;
  /** What it said meanwhile. */
  readonly progress: readonly string[];
}

/** Keys as an agent has them, in transactions of the largest size. */
export async function fillStore(backend: FileBackend, path: string, keys: number): Promise<void> {
  const engine = await openEngine({ backend, path });
  try {
    for (let at = 0; at < keys; at += TXN_KEYS) {
      const count = Math.min(TXN_KEYS, keys - at);
      const ops = Array.from({ length: count }, (_, i): Op => {
        const id = `${at + i}`.padStart(8, '0');
        const key = `hosts/018f3a6e-5f1c-7d2a-9b3e-${id.padStart(12, '0')}/volumes/${id}`;
        return { type: 'put', key, value: Buffer.alloc(VALUE_BYTES, id) };
      });
      await engine.txn([], ops);
    }
  } finally {
    await engine.close();
  }
}

/** @throws when it ends without a report */
export async function runCheck(store: string): Promise<CheckRun> {
  const program = compiledProgram('src/agent/cli/main.ts', ['src']);
  const startMs = performance.now();
  let output = '';
  const args = [program, 'kv', 'check', store, '--progress', '-o', 'json'];
  const child = await Child.start(process.execPath, args, {
    onStdout: (chunk) => {
      output += chunk;
    },
  });
  const peakBytes = await peakOf(child);
  const { code } = await child.exited;
  const seconds = (performance.now() - startMs) / 1000;
  if (output === '') throw new Error(`kv check ended with ${code}: ${child.tail()}`);
  const said = child.output.slice(0, child.output.indexOf('{'));
  const progress = said.split('\n').filter((line) => line !== '');
  return { report: JSON.parse(output) as CheckReport, code, seconds, peakBytes, progress };
}

async function peakOf(child: Child): Promise<number> {
  let peak = 0;
  while (child.running) {
    const bytes = [child.pid, ...childrenOf(child.pid)].map(anonymousBytes);
    peak = Math.max(
      peak,
      bytes.reduce((sum, one) => sum + one, 0),
    );
    await sleep(LOOK_MS);
  }
  return peak;
}

/** Any of its threads may have started one (proc(5), children). */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    // It has just ended.
    return [];
  }
}

function anonymousBytes(pid: number): number {
  try {
    const found = /^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(found?.[1] ?? 0) * KiB;
  } catch {
    return 0;
  }
}
