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
  const startMs = performance.now();
  const { child, output } = await start(store, '--progress');
  const peakBytes = await peakOf(child);
  const { code } = await child.exited;
  const seconds = (performance.now() - startMs) / 1000;
  const said = child.output.slice(0, child.output.indexOf('{'));
  const progress = said.split('\n').filter((line) => line !== '');
  return { report: reportOf(child, output()), code, seconds, peakBytes, progress };
}

/** @returns whether anything was found, also that it is no store any more. @throws when it fails for another reason */
export async function checkOnce(store: string): Promise<boolean> {
  const { child, output } = await start(store);
  await child.exited;
  if (output() !== '') return reportOf(child, output()).errors > 0;
  if (/"code":"(Corrupt|StateMismatch)"/.test(child.output)) return true;
  throw new Error(`kv check: ${child.tail()}`);
}

async function start(
  store: string,
  ...more: string[]
): Promise<{ child: Child; output: () => string }> {
  const program = compiledProgram('src/agent/cli/main.ts', ['src']);
  let output = '';
  const args = [program, 'kv', 'check', store, '-o', 'json', ...more];
  const child = await Child.start(process.execPath, args, {
    onStdout: (chunk) => {
      output += chunk;
    },
  });
  return { child, output: () => output };
}

function reportOf(child: Child, output: string): CheckReport {
  if (output === '') throw new Error(`kv check ended without a report: ${child.tail()}`);
  return JSON.parse(output) as CheckReport;
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
