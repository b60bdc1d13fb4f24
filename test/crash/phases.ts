/** What the stepper does, in this order. `open` is of a store that was killed: nothing when all phases run. */
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
  'close',
] as const;
export type Phase = (typeof PHASES)[number];
