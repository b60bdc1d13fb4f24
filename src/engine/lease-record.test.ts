/** Goal: the record of a key under a lease is checked, and those that earlier versions wrote are known. */
import { expect, test } from 'vitest';
import { checkMember, encodeMember, memberKey } from './lease-record.ts';

const key = memberKey(7, 'a/b');

test('its checksum is over its key', () => {
  const record = encodeMember(key);
  checkMember(key, record);
  expect(() => checkMember(memberKey(7, 'a/c'), record)).toThrow(/has checksum/);
});

test('the checksum 0 of format 2 is taken, no other one', () => {
  checkMember(key, Buffer.alloc(4));
  expect(() => checkMember(key, Buffer.from([0, 0, 0, 1]))).toThrow(/has checksum/);
  expect(() => checkMember(key, Buffer.alloc(3))).toThrow(/3 bytes long/);
});
