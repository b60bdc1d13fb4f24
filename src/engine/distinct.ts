/** A branch of a transaction happens at one revision, so each key can change but once in it. */
import { HoldfastError } from '../base/errors.ts';
import { prefixesOf } from './key.ts';
import { covers, type KeySpan } from './span.ts';
import type { CheckedOp } from './txn.ts';

/** No key is put or deleted by its name twice, none is put inside a deleted span. @throws InvalidArgument */
export function assertDistinct(ops: readonly CheckedOp[]): void {
  if (ops.length < 2) return;
  const named = new Set<string>();
  const prefixes = new Set<string>();
  const ranges: KeySpan[] = [];
  for (const op of ops) {
    if (op.type === 'get') continue;
    if (op.type === 'delete' && op.span.type === 'range') ranges.push(op.span);
    else if (op.type === 'delete' && op.span.type === 'prefix') prefixes.add(op.span.prefix);
    else {
      const key = op.type === 'put' ? op.key : (op.span as { readonly key: string }).key;
      if (named.has(key)) throw twice(`names the same key ${key} twice`);
      named.add(key);
    }
  }
  if (prefixes.size + ranges.length === 0) return;
  for (const op of ops) {
    if (op.type !== 'put') continue;
    const deleted =
      ranges.some((range) => covers(range, op.key)) ||
      (prefixes.size > 0 && [...prefixesOf(op.key)].some((prefix) => prefixes.has(prefix)));
    if (deleted) throw twice(`puts ${op.key}, and deletes a range that it lies in`);
  }
}

function twice(what: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `the transaction ${what}`, {
    hint: 'give each key one operation: all of them happen at one revision',
  });
}
