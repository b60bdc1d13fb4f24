/** Goal: every plan ends in `record`, undoes nothing it cannot have done, and has each of its steps among the kill points. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DirDriver } from './drivers/dir.ts';
import { LoopDriver } from './drivers/loop.ts';
import {
  OPERATION_KINDS,
  plan,
  stepsOf,
  undoStepsOf,
  type PlanFacts,
  type Step,
} from './planner.ts';
import { LinuxHostOps } from './linux-hostops.ts';

const DRIVERS = ['dir', 'loop'] as const;
const facts: fc.Arbitrary<PlanFacts> = fc.record({
  attachmentsAfter: fc.nat(2),
  mounted: fc.boolean(),
  attached: fc.boolean(),
});
const anyPlan = fc.record({
  kind: fc.constantFrom(...OPERATION_KINDS),
  driver: fc.constantFrom(...DRIVERS),
  facts,
});

/** Which step's work an undo step takes back. */
const TAKES_BACK: Partial<Record<Step, Step>> = {
  'unlink-image': 'allocate-image',
  unmount: 'mount',
  'remove-mount-point': 'make-mount-point',
  'detach-loop': 'attach-loop',
  'remove-directory': 'make-directory',
};

describe('plan', () => {
  test('ends in record, once, and repeats no step', () => {
    fc.assert(
      fc.property(anyPlan, ({ kind, driver, facts }) => {
        const { steps } = plan(kind, driver, facts);
        expect(steps.at(-1)).toBe('record');
        expect(new Set(steps).size).toBe(steps.length);
      }),
    );
  });

  test('undo takes back its own steps only, the last done first', () => {
    fc.assert(
      fc.property(anyPlan, ({ kind, driver, facts }) => {
        const { steps, undo } = plan(kind, driver, facts);
        const places = undo.map((step) => steps.indexOf(TAKES_BACK[step] ?? step));
        expect(places.every((place) => place >= 0)).toBe(true);
        expect(places).toEqual(places.toSorted((left, right) => right - left));
      }),
    );
  });

  test('what cannot be undone has a point of no return among its steps, or changes nothing on the disk', () => {
    fc.assert(
      fc.property(anyPlan, ({ kind, driver, facts }) => {
        const { steps, noReturn } = plan(kind, driver, facts);
        expect(noReturn === undefined || steps.includes(noReturn)).toBe(true);
        expect(kind !== 'remove' || noReturn !== undefined).toBe(true);
      }),
    );
  });

  test('the kill points cover every step of every plan, forward and back', () => {
    fc.assert(
      fc.property(anyPlan, ({ kind, driver, facts }) => {
        const { steps, undo } = plan(kind, driver, facts);
        expect(stepsOf(kind, driver)).toEqual(expect.arrayContaining([...steps]));
        expect(undoStepsOf(kind, driver)).toEqual(expect.arrayContaining([...undo]));
      }),
    );
  });

  test('a device goes with its last user, and stays with any other', () => {
    fc.assert(
      fc.property(anyPlan, ({ kind, facts }) => {
        const { steps, undo } = plan(kind, 'loop', facts);
        const needed = facts.mounted || facts.attachmentsAfter > 0;
        if (kind === 'detach' || kind === 'unmount') {
          expect(steps.includes('detach-loop')).toBe(!needed);
        }
        if (facts.attached) expect(undo).not.toContain('detach-loop');
      }),
    );
  });

  test('each driver knows every step that is planned for it', async () => {
    const site = { hostOps: new LinuxHostOps(), mountRoot: '/nowhere', bootId: 'b' };
    const drivers = { dir: new DirDriver(site), loop: new LoopDriver(site) };
    const planned = (driver: 'dir' | 'loop'): Set<Step> =>
      new Set(
        OPERATION_KINDS.flatMap((kind) => [...stepsOf(kind, driver), ...undoStepsOf(kind, driver)]),
      );
    for (const driver of DRIVERS) {
      for (const step of planned(driver)) {
        if (step === 'record') continue;
        // Without a context each known step fails in its own way; only an unknown one says so.
        const words = await drivers[driver].run(step, {} as never).then(
          () => '',
          (thrown: Error) => thrown.message,
        );
        expect(words).not.toContain('has no step');
      }
    }
  });
});

test('docs/volumes.md has these very steps', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/volumes.md'), 'utf8');
  const documented = OPERATION_KINDS.flatMap((kind) =>
    DRIVERS.map((driver) => {
      const row = page.split('\n').find((line) => line.startsWith(`| ${kind} | ${driver} |`));
      return row?.replaceAll(/[[\]]/g, '');
    }),
  );
  const planned = OPERATION_KINDS.flatMap((kind) =>
    DRIVERS.map((driver) => {
      const undo = undoStepsOf(kind, driver).join(', ') || '-';
      return `| ${kind} | ${driver} | ${stepsOf(kind, driver).join(', ')} | ${undo} |`;
    }),
  );
  expect(documented).toEqual(planned);
});
