import type { Located, LocatedList, LocatedMap } from './yaml-file.ts';

/** Lists whose items are matched by a name instead of being replaced as a whole. */
const NAMED_LISTS: Readonly<Record<string, { readonly by: string; readonly ifAbsent?: string }>> = {
  'volumes.services': { by: 'name' },
  'sync.targets': { by: 'id', ifAbsent: 'etcd' },
};

/**
 * `over` on top of `under`: maps deeply, the named lists item by item (in the order they first
 * appeared), everything else replaced. Two items of one name in one file both stay: check.ts refuses them.
 */
export function mergeLocated(under: LocatedMap, over: LocatedMap, at = ''): LocatedMap {
  const entries = new Map(under.entries);
  for (const [key, { keyOrigin, value }] of over.entries) {
    const path = at === '' ? key : `${at}.${key}`;
    const below = entries.get(key)?.value;
    entries.set(key, { keyOrigin, value: below ? mergeValue(below, value, path) : value });
  }
  return { kind: 'map', origin: over.origin, entries };
}

function mergeValue(under: Located, over: Located, path: string): Located {
  if (under.kind === 'map' && over.kind === 'map') return mergeLocated(under, over, path);
  if (under.kind === 'list' && over.kind === 'list' && NAMED_LISTS[path]) {
    return mergeNamed(under, over, NAMED_LISTS[path]);
  }
  return over;
}

function mergeNamed(
  under: LocatedList,
  over: LocatedList,
  { by, ifAbsent }: { by: string; ifAbsent?: string },
): LocatedList {
  const nameOf = (item: Located): string | undefined => {
    if (item.kind !== 'map') return undefined;
    const name = item.entries.get(by)?.value;
    if (name === undefined) return ifAbsent;
    return name.kind === 'scalar' && typeof name.value === 'string' ? name.value : undefined;
  };
  const items = [...under.items];
  for (const item of over.items) {
    const name = nameOf(item);
    const index =
      name === undefined ? -1 : under.items.findIndex((other) => nameOf(other) === name);
    const below = items[index];
    if (below?.kind === 'map' && item.kind === 'map') items[index] = mergeLocated(below, item);
    else items.push(item);
  }
  return { kind: 'list', origin: over.origin, items };
}
