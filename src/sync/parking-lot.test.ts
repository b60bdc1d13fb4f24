/** Goal: refused entries are kept over a restart, one per key, let go once taken, and bounded in number. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HoldfastError } from '../base/errors.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { ParkingLot } from './parking-lot.ts';
import { TargetError } from './target-error.ts';

const AT = '2026-01-01T00:00:00.000Z';
const tooLarge = new HoldfastError('TooLarge', 'too large: 3 of 2 bytes');
let engine: Engine;
beforeEach(async () => {
  engine = await openEngine({ backend: 'memory', path: '' });
});
afterEach(() => engine.close());

async function loaded(): Promise<ParkingLot> {
  const lot = new ParkingLot(engine, 'one');
  await lot.load();
  return lot;
}

async function parkedKeys(): Promise<string[]> {
  const { kvs } = await engine.list('sync/parked/one');
  return kvs.map(({ value }) => (JSON.parse(Buffer.from(value).toString()) as { key: string }).key);
}

it('keeps key and reason, one per key, over a restart', async () => {
  const lot = await loaded();
  expect(await lot.park('kv/a', tooLarge, AT)).toBe(true);
  expect(await lot.park('kv/b', tooLarge, AT)).toBe(true);
  expect(await lot.park('kv/a', tooLarge, AT)).toBe(false);
  const again = await loaded();
  expect(again.size).toBe(2);
  await again.park('kv/c', tooLarge, AT);
  expect(await parkedKeys()).toEqual(['kv/a', 'kv/b', 'kv/c']);
  const first = await engine.get('sync/parked/one/1');
  expect(JSON.parse(Buffer.from(first!.value).toString())).toEqual({
    key: 'kv/a',
    code: 'TooLarge',
    message: 'too large: 3 of 2 bytes',
    at: AT,
  });
});

it('lets a key go, and writes nothing for one that it does not hold', async () => {
  const lot = await loaded();
  await lot.park('kv/a', tooLarge, AT);
  await lot.release('kv/a');
  const { revision } = engine;
  await lot.release('kv/a');
  expect([lot.size, engine.revision, await parkedKeys()]).toEqual([0, revision, []]);
});

it('lets go after a comparison what that did not refuse again', async () => {
  const lot = await loaded();
  for (const key of ['kv/gone', 'kv/still']) await lot.park(key, tooLarge, AT);
  lot.beginComparison();
  await lot.park('kv/still', tooLarge, AT);
  await lot.endComparison();
  expect(await parkedKeys()).toEqual(['kv/still']);
});

it('is full at 1000: a target that refuses everything is no poisoned entry', async () => {
  const lot = await loaded();
  for (let n = 0; n < 1000; n++) await lot.park(`kv/${n}`, tooLarge, AT);
  const full = lot.park('kv/more', tooLarge, AT);
  await expect(full).rejects.toBeInstanceOf(TargetError);
  await expect(full).rejects.toMatchObject({
    error: { code: 'TooLarge', message: expect.stringMatching(/1000 entries.*kv\/more/) },
  });
  await lot.park('kv/0', tooLarge, AT);
  expect(lot.size).toBe(1000);
});

it('skips what it cannot read', async () => {
  await engine.put('sync/parked/one/1', Buffer.from('not ours'));
  await engine.put('sync/parked/one/x', Buffer.from('{"key":"kv/a"}'));
  expect((await loaded()).size).toBe(0);
});
