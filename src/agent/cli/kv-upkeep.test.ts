/** Goal: what `compact --dry-run` says is what the engine then does. */
import { expect, test } from 'vitest';
import { openEngine } from '../../engine/index.ts';
import { foretell } from './kv-upkeep.ts';

/** Revision asked for, over the hold or not. */
test.each([
  [0, false],
  [2, false],
  [5, false],
  [8, false],
  [8, true],
  [10, true],
])('up to %d, over holds: %s', async (asked, overHolds) => {
  const engine = await openEngine({ backend: 'memory', path: '' });
  try {
    for (let i = 0; i < 10; i += 1) await engine.put('a', Buffer.from(`${i}`));
    await engine.compact(2);
    engine.hold('sync/slow', 5);
    const { oldestAgeMs, heldBy, ...stats } = await engine.stats();
    expect([heldBy, typeof oldestAgeMs]).toEqual([undefined, 'number']);
    const before = { ...stats, incarnation: engine.incarnation, holds: [...stats.holds] };
    const said = foretell(before, asked, overHolds);
    const done = await engine.compact(asked, { overHolds });
    expect(said).toEqual({ revision: engine.revision, ...done });
    expect(() => foretell(before, 11, overHolds)).toThrow('the last one is 10');
  } finally {
    await engine.close();
  }
});
