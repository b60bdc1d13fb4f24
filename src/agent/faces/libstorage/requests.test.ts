/** Goal: a create request means what real clients mean: "" and 0 are "not given", options are text. */
import { expect, test } from 'vitest';
import { GiB } from '../../../base/bytes.ts';
import { bodyCheck } from '../../http-schema.ts';
import { goText, toCreateRequest } from './requests.ts';
import { VolumeCreateRequest } from './schema.ts';

const check = bodyCheck(VolumeCreateRequest);

test('what the integration driver sends for a volume without options', () => {
  const body = check({
    name: 'wirevol',
    availabilityZone: '',
    iops: 0,
    size: 1,
    type: '',
    opts: { size: 1 },
  });
  expect(toCreateRequest('vfs', body)).toEqual({
    name: 'wirevol',
    service: 'vfs',
    sizeBytes: GiB,
    fields: { size: '1' },
  });
});

test('what the command line sends', () => {
  const body = check({
    name: 'cliv1',
    availabilityZone: 'az1',
    encrypted: false,
    iops: 100,
    size: 2,
    type: 'gold',
  });
  expect(toCreateRequest('vfs', body)).toEqual({
    name: 'cliv1',
    service: 'vfs',
    sizeBytes: 2 * GiB,
    fields: {},
    availabilityZone: 'az1',
    iops: 100,
    type: 'gold',
  });
});

test('a size of 0, or none, is 1 GiB', () => {
  for (const body of [{ name: 'a' }, { name: 'a', size: 0 }]) {
    expect(toCreateRequest('vfs', check(body)).sizeBytes).toBe(GiB);
  }
});

test.for([
  [{}, 'body must have "name"'],
  [{ name: 1 }, 'body: "name" must be string'],
  [{ name: null }, 'body: "name" must be string'],
  [{ name: 'a', size: null }, 'body: "size" must be integer'],
  [{ name: 'a', size: 1.5 }, 'body: "size" must be integer'],
  [{ name: 'a', size: -1 }, 'body: "size" must be >= 0'],
  // 2^63 GiB: not even the bytes can be counted.
  [{ name: 'a', size: 2 ** 63 }, 'body: "size" must be <= 8388607'],
  [{ name: 'a', opts: [] }, 'body: "opts" must be object'],
  [{ name: 'a', siz: 1 }, 'body has an unknown property "siz"'],
  [[], 'body must be object'],
  ['name', 'body must be object'],
] as const)('%j is refused', ([body, message]) => {
  expect(() => check(body)).toThrow(
    expect.objectContaining({ code: 'InvalidArgument', message: expect.stringContaining(message) }),
  );
});

test('a misspelled property is told what it may mean, another word what there is', () => {
  expect(() => check({ name: 'a', siz: 1 })).toThrow(
    expect.objectContaining({ hint: 'did you mean "size"?' }),
  );
  expect(() => check({ name: 'a', bogus: 1 })).toThrow(
    expect.objectContaining({ hint: expect.stringMatching(/^known: name, /) }),
  );
});

test('a volume that should be encrypted is refused, not made readable', () => {
  for (const wish of [{ encrypted: true }, { encryptionKey: 'k' }]) {
    expect(() => toCreateRequest('vfs', check({ name: 'a', ...wish }))).toThrow(
      expect.objectContaining({ code: 'NotSupported' }),
    );
  }
});

test.for([
  ['x', 'x'],
  [2, '2'],
  [1.5, '1.5'],
  [1e21, '1e+21'],
  [true, 'true'],
  [null, '<nil>'],
  [['a', 1], '[a 1]'],
  [{ b: 1, a: [true] }, 'map[a:[true] b:1]'],
  [{}, 'map[]'],
] as const)('%j is what Go prints', ([value, text]) => {
  expect(goText(value)).toBe(text);
});

test('options without end are refused', () => {
  const deep = JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) as unknown;
  expect(() => goText(deep)).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
});
