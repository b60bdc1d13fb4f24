/** The tables of `npm run test:crash`, and what is wrong with a finished run. */
import { FAULTS } from './faults.ts';
import type { KillTotals } from './kills.ts';
import type { StepTotals } from './steps.ts';

export interface KillRow extends KillTotals {
  readonly name: string;
  readonly isControl: boolean;
}

export interface StepRow extends StepTotals {
  readonly name: string;
}

type Cell = string | number;

const NAME_CHARS = 24;
const CELL_CHARS_MIN = 10;

export function printKills(rows: readonly KillRow[]): void {
  printTable(
    ['', 'kills', 'acknowledged', 'lost', ...FAULTS],
    rows.map(({ name, isControl, cycles, acknowledged, lost, faults }) => {
      const counts = FAULTS.map((fault) => (isControl ? '-' : faults[fault]));
      return [name, cycles, acknowledged, lost, ...counts];
    }),
  );
  printTable(
    ['', 'unanswered', 'watched', 'leases', 'backups', 'compacted'],
    rows.map(({ name, phantoms, seen, leases, backups, compacted }) => {
      return [name, phantoms, seen, leases, backups, compacted];
    }),
  );
}

export function printSteps(rows: readonly StepRow[]): void {
  for (const { name, hits } of rows) {
    console.log(`\n${name}: kills at each step`);
    const byPhase = new Map<string, string[]>();
    for (const [step, count] of hits) {
      const [phase = '', ...rest] = step.split('/');
      byPhase.set(phase, [...(byPhase.get(phase) ?? []), `${rest.join('/')} ${count}`]);
    }
    for (const [phase, steps] of byPhase) console.log(`  ${phase.padEnd(8)} ${steps.join(', ')}`);
  }
  if (rows.length === 0) return;
  printTable(
    ['', 'steps', 'kills', 'acknowledged', 'lost', 'broken'],
    rows.map(({ name, hits, kills, acknowledged, lost, broken }) => {
      return [name, hits.size, kills, acknowledged, lost, broken];
    }),
  );
}

/** Empty when the run proved what it should. */
export function problemsOf(kills: readonly KillRow[], steps: readonly StepRow[]): string[] {
  const ofKills = kills.flatMap(({ name, isControl, lost, broken }) => {
    if (!isControl) return damage(name, lost, broken);
    if (lost > 0) return [];
    return [`${name}: lost nothing, so the check finds too much and this run proves nothing`];
  });
  const ofSteps = steps.flatMap(({ name, hits, lost, broken }) => {
    const missed = [...hits].filter(([, count]) => count === 0).map(([step]) => step);
    return [
      ...damage(name, lost, broken),
      ...(missed.length > 0 ? [`${name}: never killed at ${missed.join(', ')}`] : []),
    ];
  });
  return [...ofKills, ...ofSteps];
}

function damage(name: string, lost: number, broken: number): string[] {
  if (lost + broken === 0) return [];
  return [`${name}: ${lost} acknowledged writes lost, ${broken} contradictions`];
}

function printTable(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const widths = head.map((title, i) =>
    i === 0 ? NAME_CHARS : Math.max(CELL_CHARS_MIN, title.length + 2),
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, i) => (i === 0 ? `${cell}`.padEnd(widths[0]!) : `${cell}`.padStart(widths[i]!)))
      .join('');
  console.log(`\n${[head, ...rows].map(line).join('\n')}`);
}
