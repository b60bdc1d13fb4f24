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

/**
 * Misses that a decision record explains with figures: row id -> file in docs/decisions. Whoever adds one
 * writes the record first; the bench fails on a file that is not there.
 */
export const EXPLAINED: Readonly<Record<string, string>> = {
  'sqlite put 1 in flight, 100 B': '0003-commits-run-on-a-thread.md',
  'sqlite put 1 in flight, 1 KiB': '0003-commits-run-on-a-thread.md',
  'lmdb put 1 in flight, 100 B': '0003-commits-run-on-a-thread.md',
  'lmdb put 1 in flight, 1 KiB': '0003-commits-run-on-a-thread.md',
  'lmdb big store, open': '0004-sqlite-stays-the-default-backend.md',
};

export type Verdict = 'ok' | 'MISS' | 'explained' | '-';

export function verdictOf({ id, measured, target }: Row): Verdict {
  if (!target) return '-';
  const met = 'atLeast' in target ? measured >= target.atLeast : measured <= target.atMost;
  if (met) return 'ok';
  return EXPLAINED[id] === undefined ? 'MISS' : 'explained';
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
