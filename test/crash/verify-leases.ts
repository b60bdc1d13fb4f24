/** Leases and the keys under them name each other, and none that was acknowledged is gone or back. */
import type { Engine, KeyValue } from '../../src/engine/index.ts';
import type { Check } from './faults.ts';
import type { LeaseTold } from './told.ts';

export async function checkLeases(
  engine: Engine,
  state: ReadonlyMap<string, KeyValue>,
  told: readonly LeaseTold[],
  check: Check,
): Promise<void> {
  const there = new Set((await engine.leases.list()).map(({ id }) => id));
  const lastOf = new Map(told.map(({ lease, state: last }) => [lease, last]));
  for (const [lease, last] of lastOf) {
    if (last === 'granted' && !there.has(lease)) check.lost(`lease ${lease} is gone`);
    if (last === 'ended' && there.has(lease)) check.lost(`the end of lease ${lease}`);
  }
  const keysOf = new Map<number, string[]>();
  for (const { key, lease } of state.values()) {
    if (lease === undefined) continue;
    if (!there.has(lease)) check.broken('leases', `${key} is under lease ${lease}, which is gone`);
    keysOf.set(lease, [...(keysOf.get(lease) ?? []), key]);
  }
  for (const id of there) {
    const { keys } = await engine.leases.timeToLive(id);
    const under = keysOf.get(id) ?? [];
    if (keys.join('\n') === under.join('\n')) continue;
    check.broken('leases', `lease ${id} names ${keys.join()}, under it are ${under.join()}`);
  }
}
