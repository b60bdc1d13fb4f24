/** One line of the table: what was measured, what it should be, and whether it is. */
import type { BackendName } from './subject.ts';
import type { Compared } from './measure.ts';

export interface Row {
  /** `<backend> <what>`, stable: misses are explained by it. */
  readonly id: string;
  readonly measured: number;
  readonly unit: 'x' | 'ms' | 'B';
  /** Undefined: reported only. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number } | undefined;
  /** The figures behind it, for people. */
  readonly detail: string;
}

interface Explanation {
  /** File in docs/decisions. */
  readonly record: string;
  /** What it explains: a miss by more than this is another one, unexplained. */
  readonly limit: number;
}

const THREAD = '0003-commits-run-on-a-thread.md';
const LMDB_OPENS = '0004-sqlite-stays-the-default-backend.md';
const MORE_THAN_RAW = '0005-what-a-record-costs-beyond-the-raw-library.md';

/**
 * Misses that a decision record explains with figures, by row id. Whoever adds one writes the record first;
 * the bench fails on a file that is not there.
 */
export const EXPLAINED: Readonly<Record<string, Explanation>> = {
  'sqlite put 1 in flight, 100 B': { record: THREAD, limit: 0.25 },
  'sqlite put 1 in flight, 1 KiB': { record: THREAD, limit: 0.25 },
  'lmdb put 1 in flight, 100 B': { record: THREAD, limit: 0.5 },
  'lmdb put 1 in flight, 1 KiB': { record: THREAD, limit: 0.5 },
  'lmdb big store, open': { record: LMDB_OPENS, limit: 600 },
  'sqlite put 1000 in flight, 100 B': { record: MORE_THAN_RAW, limit: 0.35 },
  'lmdb put 64 in flight, 1 KiB': { record: MORE_THAN_RAW, limit: 0.4 },
  'lmdb put 1000 in flight, 100 B': { record: MORE_THAN_RAW, limit: 0.35 },
  'lmdb put 1000 in flight, 1 KiB': { record: MORE_THAN_RAW, limit: 0.28 },
  'lmdb get, 100 B': { record: MORE_THAN_RAW, limit: 0.5 },
  'sqlite disk bytes per 100 B put, lone': { record: MORE_THAN_RAW, limit: 18_000 },
};

export type Verdict = 'ok' | 'MISS' | 'explained' | '-';

export function verdictOf({ id, measured, target }: Row): Verdict {
  if (!target) return '-';
  const isWithin = (limit: number): boolean =>
    'atLeast' in target ? measured >= limit : measured <= limit;
  if (isWithin('atLeast' in target ? target.atLeast : target.atMost)) return 'ok';
  const limit = EXPLAINED[id]?.limit;
  return limit !== undefined && isWithin(limit) ? 'explained' : 'MISS';
}

/** Ours to the peer's: at least this much. */
export function ratioRow(
  backend: BackendName,
  what: string,
  atLeast: number,
  found: Compared,
): Row {
  return {
    id: `${backend} ${what}`,
    measured: found.ratio,
    unit: 'x',
    target: { atLeast },
    detail: `${rate(found.ours)} : ${rate(found.peer)}/s, rounds ${spread(found)}`,
  };
}

/** How many times slower ours got than the peer, which is ours too: at most this much. */
export function slowdownRow(
  backend: BackendName,
  what: string,
  atMost: number,
  found: Compared,
): Row {
  return {
    id: `${backend} ${what}`,
    measured: 1 / found.ratio,
    unit: 'x',
    target: { atMost },
    detail: `${rate(found.ours)} : ${rate(found.peer)}/s`,
  };
}

export function formatRow(row: Row): string {
  const { id, measured, unit, target, detail } = row;
  const number = (value: number): string =>
    unit === 'B' ? `${Math.round(value)} B` : `${value.toFixed(unit === 'ms' ? 3 : 2)} ${unit}`;
  const wanted = !target
    ? ''
    : 'atLeast' in target
      ? `>= ${target.atLeast} ${unit}`
      : `<= ${target.atMost} ${unit}`;
  const columns = [id.padEnd(44), number(measured).padStart(12), wanted.padStart(14)];
  return `${columns.join(' ')}  ${verdictOf(row).padEnd(9)} ${detail}`;
}

function rate(value: number): string {
  return value >= 10_000 ? `${Math.round(value / 1000)}k` : String(Math.round(value));
}

function spread({ ratioMin, ratioMax }: Compared): string {
  return `${ratioMin.toFixed(2)}..${ratioMax.toFixed(2)}`;
}
