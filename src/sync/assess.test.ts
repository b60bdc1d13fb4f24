/** Goal: every row of the table resume / compare / refuse, and that only a checkpoint of ours is resumed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assess, type Cursor, type LocalSide } from './assess.ts';
import type { Checkpoint } from './target.ts';

const cursor: Cursor = {
  incarnation: 'store',
  revision: 40,
  session: 's2',
  sessions: ['s2', 's1'],
};
const local: LocalSide = { incarnation: 'store', revision: 50, compactedRevision: 10, cursor };
const remote: Checkpoint = { incarnation: 'store', revision: 40, session: 's2' };

describe('assess', () => {
  it.each<[string, LocalSide, Checkpoint | undefined]>([
    ['first contact', { ...local, cursor: undefined }, undefined],
    ['the target lost our checkpoint', local, undefined],
    ['no cursor on this host', { ...local, cursor: undefined }, remote],
    ['the local store is another incarnation', { ...local, incarnation: 'restored' }, remote],
    ['the target went back to an earlier session', local, { ...remote, session: 's1' }],
    ['the last comparison was not finished', local, { ...remote, revision: 0 }],
    ['the local store went back', { ...local, revision: 39 }, remote],
    ['the log was compacted beyond the checkpoint', { ...local, compactedRevision: 41 }, remote],
  ])('compares: %s', (reason, here, there) => {
    expect(assess(here, there)).toEqual({ verdict: 'compare', reason });
  });

  it.each<[string, LocalSide, Checkpoint, RegExp]>([
    ['a session never begun here', local, { ...remote, session: 'x' }, /session x/],
    ['our session in another store', local, { ...remote, incarnation: 'clone' }, /store clone/],
    ['more than we ever sent', { ...local, attempted: 39 }, remote, /at 40, we sent up to 39/],
  ])('refuses: %s', (_name, here, there, reason) => {
    expect(assess(here, there)).toEqual({
      verdict: 'refuse',
      reason: expect.stringMatching(reason) as string,
    });
  });

  it.each<[string, LocalSide, Checkpoint]>([
    ['equal sides', local, remote],
    [
      'a target that is further than the cursor, which is saved rarely',
      local,
      { ...remote, revision: 45 },
    ],
    ['a target restored from a backup of this session', local, { ...remote, revision: 12 }],
    ['a log that begins right after the checkpoint', { ...local, compactedRevision: 40 }, remote],
    ['what this process sent itself', { ...local, attempted: 40 }, remote],
  ])('resumes from the target: %s', (_name, here, there) => {
    expect(assess(here, there)).toEqual({ verdict: 'resume', from: there.revision });
  });

  it('resumes only where the log holds all that the target lacks, and only our own session', () => {
    const number = fc.nat({ max: 6 });
    const name = fc.constantFrom('a', 'b');
    fc.assert(
      fc.property(
        fc.record({ incarnation: name, revision: number, compactedRevision: number }),
        fc.option(fc.record({ incarnation: name, revision: number, session: name }), {
          nil: undefined,
        }),
        fc.option(fc.record({ incarnation: name, revision: number, session: name }), {
          nil: undefined,
        }),
        fc.option(number, { nil: undefined }),
        (here, held, there, attempted) => {
          const mine = held && { ...held, sessions: [held.session] };
          const assessment = assess({ ...here, cursor: mine, attempted }, there);
          if (assessment.verdict !== 'resume') return;
          expect(there).toMatchObject({ incarnation: here.incarnation, session: held?.session });
          expect(assessment.from).toBe(there?.revision);
          expect(assessment.from).toBeGreaterThan(0);
          expect(assessment.from).toBeGreaterThanOrEqual(here.compactedRevision);
          expect(assessment.from).toBeLessThanOrEqual(here.revision);
        },
      ),
    );
  });
});
