/** `out`: mirrored to every target, written by this host only. `local`: never leaves the host. */
export type Direction = 'out' | 'local';

/** What goes where, by the first segment of the key. A prefix that isn't here is local. */
export const DIRECTIONS: Readonly<Record<string, Direction>> = {
  devices: 'out',
  host: 'out',
  kv: 'out',
  snapshots: 'out',
  volumes: 'out',
  claims: 'local',
  events: 'local',
  journal: 'local',
  leases: 'local',
  mqtt: 'local',
  names: 'local',
  services: 'local',
  sync: 'local',
};

/** In key order, which the comparison relies on. All ASCII, so JavaScript's order is that of bytes. */
export const REPLICATED_PREFIXES: readonly string[] = Object.keys(DIRECTIONS)
  .filter((prefix) => DIRECTIONS[prefix] === 'out')
  .toSorted();

export function isReplicated(key: string): boolean {
  const slash = key.indexOf('/');
  const prefix = key.slice(0, slash);
  return slash > 0 && Object.hasOwn(DIRECTIONS, prefix) && DIRECTIONS[prefix] === 'out';
}
