/** Goal: a query means to us what it means to the reference's Go server. */
import { expect, test } from 'vitest';
import { GoQuery } from './go-query.ts';
import { WireError } from './wire-error.ts';

test.for(['?attach', '?attach=', '?attach=true', '?attach=1', '?ATTACH', '?other=1&attach=T'])(
  '%s sets the flag',
  (query) => {
    expect(new GoQuery(`/volumes/s/v${query}`).flag('attach')).toBe(true);
  },
);

test.for(['', '?', '?attach=0', '?attach=false', '?attached', '?byName'])(
  '"%s" does not',
  (query) => {
    expect(new GoQuery(`/volumes/s/v${query}`).flag('attach')).toBe(false);
  },
);

test.for(['?force=yes', '?force=2', '?force&force'])('%s is refused, not guessed', (query) => {
  const flag = (): boolean => new GoQuery(`/volumes/s/v${query}`).flag('force');
  expect(flag).toThrow(WireError);
  expect(flag).toThrow(/\?force is either there, true or false/);
});

test.for([
  ['', 0],
  ['?attachments=0', 0],
  ['?attachments=11', 11],
  ['?attachments=31', 31],
  // Bits that mean nothing are no reason for another answer.
  ['?attachments=32', 0],
  ['?attachments=33', 1],
  ['?attachments=-1', 31],
  ['?attachments=99999999999999999999', 31],
  ['?attachments', 15],
  ['?attachments=', 15],
  ['?attachments=true', 15],
  ['?Attachments=T', 15],
  // Sic: seen in the reference.
  ['?attachments=false', 1],
  ['?attachments=garbage', 0],
  ['?attachments=1&attachments=2', 0],
] as const)('the mask of "%s" is %i', ([query, mask]) => {
  expect(new GoQuery(`/volumes${query}`).attachments()).toBe(mask);
});
