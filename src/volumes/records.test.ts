/** Goal: records and names are kept as written, a write meets the record it was read from, and rubbish is told as such. */
import { describe, expect, test } from 'vitest';
import { openEngine } from '../engine/index.ts';
import { nameKey } from './name.ts';
import { encode, Records, volumeKey } from './records.ts';
import type { Volume } from './volume.ts';

const VOLUME = {
  spec: { id: 'x', name: 'v' },
  status: { phase: 'ready', attachments: [] },
} as unknown as Volume;

async function open() {
  const engine = await openEngine({ backend: 'memory', path: '' });
  return { engine, records: new Records(engine) };
}

describe('Records', () => {
  test('reads what was written, with the revision that a change must find', async () => {
    const { engine, records } = await open();
    const revision = await engine.put(volumeKey('x'), encode(VOLUME));
    expect(await records.get('x')).toEqual({ volume: VOLUME, revision });
    expect(await records.list()).toEqual([{ volume: VOLUME, revision }]);
    expect(await records.get('y')).toBeUndefined();
  });

  test('replaces only what is still as it was read', async () => {
    const { engine, records } = await open();
    const revision = await engine.put(volumeKey('x'), encode(VOLUME));
    const next = await records.replace({ volume: VOLUME, revision }, VOLUME);
    expect(next.revision).toBeGreaterThan(revision);
    await expect(records.replace({ volume: VOLUME, revision }, VOLUME)).rejects.toMatchObject({
      code: 'KeyModified',
    });
  });

  test('finds a name in any case', async () => {
    const { engine, records } = await open();
    await engine.put(nameKey('Data'), Buffer.from('x'));
    expect(await records.idOfName('dATA')).toBe('x');
    expect(await records.idOfName('data2')).toBeUndefined();
  });

  test('a record that is no JSON is Corrupt, and named', async () => {
    const { engine, records } = await open();
    await engine.put(volumeKey('x'), Buffer.from('{half'));
    await expect(records.get('x')).rejects.toMatchObject({
      code: 'Corrupt',
      message: expect.stringContaining('volumes/x') as string,
    });
  });
});
