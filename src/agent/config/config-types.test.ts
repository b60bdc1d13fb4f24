import { test } from 'vitest';
import type { Static } from 'typebox';
import type { Config } from './config.ts';
import type { ConfigSchema } from './schema.ts';

/** Goal: `Config` (the contract) and the schema can't drift apart; tsc fails when they do. */
type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;
/** Optional and required as they are, `undefined` beside an optional value taken off. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type Keys<T> = T extends readonly (infer Item)[]
  ? Keys<Item>
  : T extends object
    ? { [Key in keyof T]-?: Keys<NonNullable<T[Key]>> }
    : 'leaf';
type FromSchema = DeepReadonly<Static<typeof ConfigSchema>>;

const sameValues: Same<FromSchema, Config> = true;
const sameKeys: Same<Keys<FromSchema>, Keys<Config>> = true;

test('Config and ConfigSchema have the same keys and values', ({ expect }) => {
  expect([sameValues, sameKeys]).toEqual([true, true]);
});
