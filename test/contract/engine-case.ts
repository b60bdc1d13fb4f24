/** What the cases of the Engine contract have in common. */
import { HoldfastError } from '../../src/base/errors.ts';
import type { Clock } from '../../src/base/clock.ts';
import type { ChangeSet, Engine, KeyValue } from '../../src/engine/index.ts';

/** Opens a new, empty engine; the suite closes it. */
export type OpenEmpty = (clock?: Clock) => Promise<Engine>;

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (kv: KeyValue | undefined): string | undefined =>
  kv && new TextDecoder().decode(kv.value);

export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return thrown.code;
    throw thrown;
  }
  return 'none';
}

/** The next `count` change sets as `revision:type key`, then the watch is ended. */
export async function take(watch: AsyncIterable<ChangeSet>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const set of watch) {
    seen.push(describeSet(set));
    if (seen.length === count) break;
  }
  return seen;
}

const describeSet = ({ revision, changes }: ChangeSet): string =>
  `${revision}: ${changes.map(({ type, kv }) => `${type} ${kv.key}`).join(', ')}`;

/** The body of a case, on a new, empty engine. */
export type Using = (work: (engine: Engine) => Promise<void>) => () => Promise<void>;

export const neverAborted = (): AbortSignal => new AbortController().signal;

export async function fill(engine: Engine, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => engine.put(key, bytes(key))));
}

export const keysOf = (kvs: readonly KeyValue[]): string[] => kvs.map(({ key }) => key);
