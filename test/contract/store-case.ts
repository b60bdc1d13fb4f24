/** What the cases of the Store contract have in common. */
import { bytes } from './engine-case.ts';
import type { Entry, KeyEvent, Store, StoreSupports, TreeEvent } from '../../src/engine/index.ts';

export type Work = (store: Store) => Promise<void>;

export interface Suite {
  readonly open: () => Promise<Store>;
  readonly supports: StoreSupports;
  /** The body of a case, on a new, empty store. */
  readonly using: (work: Work) => () => Promise<void>;
}

export const text = (entry: Entry): string => Buffer.from(entry.value).toString();
export const keysOf = (entries: readonly Entry[]): string[] => entries.map(({ key }) => key);

export async function fill(store: Store, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => store.put(key, bytes(key))));
}

/** The next event of a watch, which has to have one. */
export async function next<T>(watch: AsyncIterator<T>): Promise<T> {
  const { done, value } = await watch.next();
  if (done) throw new Error('the watch ended');
  return value;
}

export function told(event: KeyEvent): string {
  return event.type === 'put'
    ? `put ${event.entry.key}=${text(event.entry)}`
    : `delete ${event.key}`;
}

export async function changesUntil(
  watch: AsyncIterator<TreeEvent>,
  count: number,
): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < count) {
    const event = await next(watch);
    if (event.type === 'all') throw new Error('all came twice');
    seen.push(...event.changes.map(told));
  }
  return seen;
}
