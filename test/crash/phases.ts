/**
 * What the stepper does, in this order. `open` is of a store that was killed, `rewrite` of one whose sync
 * failed before: nothing when all phases run.
 */
export const PHASES = [
  'make',
  'put',
  'burst',
  'swap',
  'txn',
  'delete',
  'grant',
  'leased',
  'revoke',
  'large',
  'compact',
  'fold',
  'after',
  'open',
  'rewrite',
  'close',
] as const;
export type Phase = (typeof PHASES)[number];
