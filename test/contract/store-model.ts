/** A store as a plain map: what each call of src/engine/store.ts gives, with nothing but its meaning. */
import fc from 'fast-check';
import { HoldfastError, type ErrorCode } from '../../src/base/errors.ts';
import type { Entry, Store } from '../../src/engine/index.ts';

export type Step =
  | {
      readonly type: 'put' | 'create' | 'swap' | 'swapStale';
      readonly key: string;
      readonly value: Uint8Array;
    }
  | {
      readonly type:
        | 'get'
        | 'exists'
        | 'delete'
        | 'deleteTree'
        | 'list'
        | 'children'
        | 'drop'
        | 'dropStale';
      readonly key: string;
    };

const key = fc.constantFrom(
  'a',
  'a/b',
  'a/b/c',
  'a/b0',
  'ab',
  'b',
  'c/1',
  'c/2/é',
  'c/2/\u{1f511}/x',
);
const value = fc.uint8Array({ maxLength: 20 });

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom(
        'put' as const,
        'create' as const,
        'swap' as const,
        'swapStale' as const,
      ),
      key,
      value,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom(
        'get' as const,
        'exists' as const,
        'delete' as const,
        'deleteTree' as const,
        'list' as const,
        'children' as const,
        'drop' as const,
        'dropStale' as const,
      ),
      key,
    }),
  },
);

/** What a step gave, in words that compare: `ok`, the error's code, or what was read. */
export type Outcome = string;

/** Holds the values; the tags are the store's own, and are told to it. */
export class StoreModel {
  readonly values = new Map<string, string>();

  apply(one: Step): Outcome {
    const held = this.values.get(one.key);
    const isTree = held !== undefined || this.#under(one.key).length > 0;
    switch (one.type) {
      case 'put':
        return this.#set(one);
      case 'create':
        return held === undefined ? this.#set(one) : 'KeyExists';
      case 'swap':
        return held === undefined ? 'KeyModified' : this.#set(one);
      case 'swapStale':
        return 'KeyModified';
      case 'get':
        return held ?? 'KeyNotFound';
      case 'exists':
        return String(held !== undefined);
      case 'delete':
      case 'drop':
        return this.values.delete(one.key) ? 'ok' : 'KeyNotFound';
      case 'dropStale':
        return held === undefined ? 'KeyNotFound' : 'KeyModified';
      case 'deleteTree':
        for (const name of [...this.#under(one.key), one.key]) this.values.delete(name);
        return isTree ? 'ok' : 'KeyNotFound';
      case 'list':
        return isTree ? this.#told(this.#under(one.key)) : 'KeyNotFound';
      case 'children': {
        const depth = one.key.length + 1;
        return isTree
          ? this.#told(this.#under(one.key).filter((name) => !name.includes('/', depth)))
          : 'KeyNotFound';
      }
    }
  }

  #set(one: Extract<Step, { value: Uint8Array }>): Outcome {
    this.values.set(one.key, hex(one.value));
    return 'ok';
  }

  #under(prefix: string): string[] {
    return [...this.values.keys()]
      .filter((name) => name.startsWith(`${prefix}/`))
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  #told(names: readonly string[]): Outcome {
    return names.map((name) => `${name}=${this.values.get(name)}`).join(' ');
  }
}

/** The same step on a store. `stale` is an entry that has been written over, or deleted, since. */
export async function run(store: Store, one: Step, stale: Entry): Promise<Outcome> {
  try {
    return await call(store, one, stale);
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return thrown.code satisfies ErrorCode;
    throw thrown;
  }
}

async function call(store: Store, one: Step, stale: Entry): Promise<Outcome> {
  const current = async (): Promise<Entry> =>
    (await store.exists(one.key)) ? store.get(one.key) : stale;
  switch (one.type) {
    case 'put':
      await store.put(one.key, one.value);
      return 'ok';
    case 'create':
    case 'swap':
    case 'swapStale': {
      const previous = one.type === 'create' ? null : one.type === 'swap' ? await current() : stale;
      await store.atomicPut(one.key, one.value, previous);
      return 'ok';
    }
    case 'get':
      return hex((await store.get(one.key)).value);
    case 'exists':
      return String(await store.exists(one.key));
    case 'delete':
      await store.delete(one.key);
      return 'ok';
    case 'drop':
    case 'dropStale':
      await store.atomicDelete(one.key, one.type === 'drop' ? await current() : stale);
      return 'ok';
    case 'deleteTree':
      await store.deleteTree(one.key);
      return 'ok';
    case 'list':
    case 'children': {
      const { entries } = await store.list(one.key, { recursive: one.type === 'list' });
      return entries.map((entry) => `${entry.key}=${hex(entry.value)}`).join(' ');
    }
  }
}

export function hex(value: Uint8Array): string {
  return `<${Buffer.from(value).toString('hex')}>`;
}
