/**
 * Goal: what the crash tests hold a store against finds each kind of fault, so that "0 lost" means
 * something. Method: a whole store, and accounts of it in which one thing is another.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { Account, type Told } from './told.ts';
import { valueOf } from './values.ts';
import { verify, type Verdict } from './verify.ts';
import { watchOn } from './verify-watch.ts';
import { groupKeys } from './workload.ts';

describe('an account of a whole store', () => {
  let engine: Engine;
  let account: Account;
  let lease: number;
  beforeAll(async () => {
    engine = await openEngine({ backend: 'memory', path: '' });
    lease = await engine.leases.grant(60);
    const put = async (key: string, serial: string, under?: number): Promise<Told> => {
      const revision = await engine.put(key, valueOf(key, serial), { lease: under });
      return { revision, ops: [under === undefined ? [key, serial] : [key, serial, under]] };
    };
    const told = [await put('a', 's.1'), await put('b', 's.2'), await put('held/1', 's.3', lease)];
    account = Account.of([...told, { lease, state: 'granted' }, ...(await watchOn(engine, 0))]);
  });

  const verdictOn = (change: (changed: Account) => void): Promise<Verdict> => {
    const changed = Account.of(account);
    change(changed);
    return verify(engine, changed.acks, changed);
  };

  test('as it was', async () => {
    expect(await verdictOn(() => undefined)).toMatchObject({ lost: 0, broken: 0, phantoms: 0 });
  });

  test.each<[string, (changed: Account) => void, object]>([
    [
      'a write that is gone',
      ({ acks }) => acks.push({ revision: 4, ops: [['c', 's.4']] }),
      { lost: 1 },
    ],
    [
      'another value',
      ({ acks }) => acks.splice(0, 1, { revision: 1, ops: [['a', 's.9']] }),
      { lost: 1 },
    ],
    [
      'another lease',
      ({ acks }) => acks.splice(2, 1, { revision: 3, ops: [['held/1', 's.3']] }),
      { lost: 1 },
    ],
    [
      'a revision twice',
      ({ acks }) => acks.push({ revision: 2, ops: [['b', 's.2']] }),
      { faults: { 'revision reused': 1 } },
    ],
    [
      'a lease that is gone',
      ({ leases }) => leases.push({ lease: 7, state: 'granted' }),
      { lost: 1 },
    ],
    [
      'a lease that came back',
      ({ leases }) => leases.push({ lease: leases[0]!.lease, state: 'ended' }),
      { lost: 1 },
    ],
    ['a revision that a watch left out', ({ seen }) => seen.splice(1, 1), { faults: { watch: 1 } }],
    ['one that it showed twice', ({ seen }) => seen.push(seen[2]!), { faults: { watch: 1 } }],
    [
      'one that it showed and that is gone',
      ({ seen }) => seen.push({ seen: 4, crc: 0 }),
      { lost: 1 },
    ],
    [
      'another change than it showed',
      ({ seen }) => seen.splice(0, 1, { seen: 1, crc: 0 }),
      { faults: { 'revision reused': 1 } },
    ],
  ])('%s', async (_what, change, found) => {
    expect(await verdictOn(change)).toMatchObject(found);
  });
});

test('half a transaction, and a value that nobody wrote', async () => {
  const engine = await openEngine({ backend: 'memory', path: '' });
  const [first, second] = groupKeys(0);
  await engine.txn(
    [],
    [first!, second!].map((key) => ({ type: 'put', key, value: valueOf(key, 's.1') })),
  );
  expect(await verify(engine, [])).toMatchObject({ faults: { 'half-visible': 2 } });
  await engine.put('a', Buffer.from('a s.1 and more'));
  expect(await verify(engine, [])).toMatchObject({ faults: { 'half-visible': 3 } });
});
