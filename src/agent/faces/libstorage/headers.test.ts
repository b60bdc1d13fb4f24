/**
 * Goal: the three request headers are read as the reference server reads them. The cases are those
 * that its own client sent, and those that its own server refused, in recorded exchanges.
 */
import { expect, test } from 'vitest';
import { parseInstanceId, parseLocalDevices, parseTransaction } from './headers.ts';

test.for([
  ['vfs=lswalk-host', { driver: 'vfs', service: '', id: 'lswalk-host', fields: {} }],
  [
    'vfs:vfs=svc-host,a%2Cb=c%3Dd&region=east',
    {
      driver: 'vfs',
      service: 'vfs',
      id: 'svc-host',
      fields: { 'a,b': 'c=d', region: 'east' },
    },
  ],
  [
    'ebs=i-1234,availabilityZone=us-west-2a&region=us-west-2',
    {
      driver: 'ebs',
      service: '',
      id: 'i-1234',
      fields: { availabilityZone: 'us-west-2a', region: 'us-west-2' },
    },
  ],
  // Metadata without an id and fields: the server is asked who this is.
  ['vfs=,,Imxzd2Fsay1ob3N0Ig==', { driver: 'vfs', service: '', id: '', fields: {} }],
  // The published document escapes the whole list: that is one field with an odd name.
  [
    'vfs=h,region%3Deast%2Czone%3D2',
    { driver: 'vfs', service: '', id: 'h', fields: { 'region=east,zone=2': '' } },
  ],
  ['a:b:c=x', { driver: 'a', service: 'b', id: 'x', fields: {} }],
  ['vfs=id=with=equals', { driver: 'vfs', service: '', id: 'id=with=equals', fields: {} }],
] as const)('instance ID %s', ([line, parsed]) => {
  expect(parseInstanceId(line)).toEqual(parsed);
});

test.for(['garbage', '=host', '', 'vfs=h,,not base64!', 'vfs=h,,abc'])(
  'no instance ID: "%s"',
  (line) => {
    expect(parseInstanceId(line)).toBeUndefined();
  },
);

test('a field that is called like a member of every object is just a field', () => {
  const { fields } = parseInstanceId('vfs=h,__proto__=x&constructor=y')!;
  expect(Object.entries(fields)).toEqual([
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
});

test('an instance ID of 1 MiB is read in linear time', () => {
  const long = 'x'.repeat(1024 * 1024);
  expect(parseInstanceId(`vfs=${long}`)?.id).toHaveLength(long.length);
  expect(parseInstanceId(`vfs=h,,${'='.repeat(1024 * 1024)}`)).toBeUndefined();
});

test.for([
  ['vfs=', {}],
  ['VFS=/dev/xvda::/mnt/a', { '/dev/xvda': '/mnt/a' }],
  [
    'vfs=/dev/xvda::,/dev/xvdb::,/dev/xvdc::/mnt/c',
    { '/dev/xvda': '', '/dev/xvdb': '', '/dev/xvdc': '/mnt/c' },
  ],
  // 0.11.4 lists mounts; those of an NFS server have colons of their own.
  ['vfs=h:/export::/mnt/nfs', { 'h:/export': '/mnt/nfs' }],
  ['vfs=a::x::y', { a: 'x::y' }],
  // A key that is empty is dropped, as the reference does.
  ['vfs=::/mnt', {}],
] as const)('local devices %s', ([line, devices]) => {
  const parsed = parseLocalDevices(line)!;
  expect(parsed.driver).toBe('vfs');
  expect(Object.fromEntries(parsed.devices)).toEqual(devices);
});

test.for(['garbage', '=a::b', 'vfs=a', 'vfs=a::b,c', 'vfs=a b::c', 'vfs=a::b c'])(
  'no local devices: "%s"',
  (line) => {
    expect(parseLocalDevices(line)).toBeUndefined();
  },
);

test('transaction ids of real clients are taken, whose variant bits no strict parser would take', () => {
  expect(parseTransaction('txID=a6eb35a3-f24a-4cd6-4567-e7d89b0d0ab8, txCR=1795312282')).toBe(true);
  expect(parseTransaction('txid={a6eb35a3-f24a-4cd6-4567-e7d89b0d0ab8},txcr=1')).toBe(true);
  for (const line of ['garbage', 'txID=, txCR=1', 'txID=x', 'txID=x, txCR=soon']) {
    expect(parseTransaction(line), line).toBe(false);
  }
});
