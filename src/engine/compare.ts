/** Whether a compare of a transaction holds; its rules are in transaction.ts. */
import type { KeyValue } from './engine.ts';
import type { CompareOperator } from './transaction.ts';
import type { CheckedCompare } from './txn.ts';

/** By the sign of "what is there" against "what was asked for". */
const HOLDS: Record<CompareOperator, (sign: number) => boolean> = {
  '=': (sign) => sign === 0,
  '!=': (sign) => sign !== 0,
  '<': (sign) => sign < 0,
  '>': (sign) => sign > 0,
};

export function isOperator(operator: string): operator is CompareOperator {
  return Object.hasOwn(HOLDS, operator);
}

/** @param kv undefined: the key isn't there */
export function holds(compare: CheckedCompare, kv: KeyValue | undefined): boolean {
  const isAsAsked = HOLDS[compare.operator];
  if (compare.target !== 'value') return isAsAsked((kv?.[compare.target] ?? 0) - compare.value);
  return kv !== undefined && isAsAsked(Buffer.compare(kv.value, compare.value));
}
