/**
 * Goal: a copy during which the WAL was restarted, or pages were used again, is never taken for a whole one.
 * Method: real writes to the store after its main file was copied, which is the instant that matters.
 */
import type * as fsPromises from 'node:fs/promises';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import { copyStore, findStore } from '../../src/engine/backends/snapshot.ts';
import { checkOffline } from '../../src/engine/offline.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What happens after the store's own file was copied. */
const meanwhile = vi.hoisted(() => ({ times: 0, write: async () => {} }));

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof fsPromises>();
  const copyFile: typeof fs.copyFile = async (from, to, mode) => {
    await fs.copyFile(from, to, mode);
    if (!/store\.(db|mdb)$/.test(String(from)) || meanwhile.times === 0) return;
    meanwhile.times -= 1;
    await meanwhile.write();
  };
  return { ...fs, copyFile };
});

/** More than a WAL takes before its checkpoint, whose restart the next writes are. */
const ROUND = 40;

async function round(engine: Engine): Promise<void> {
  for (let i = 0; i < ROUND; i += 1) {
    await engine.put(`big/${i % 10}`, Buffer.alloc(MiB, engine.revision));
    await engine.put(`small/${engine.revision % 500}`, Buffer.from('x'));
  }
}

test.each(['sqlite', 'lmdb'] as const)(
  '%s: written in the middle of a copy',
  async (backend) => {
    const folder = path.join(tempDir('meanwhile'), 'engine');
    const engine = await openEngine({ backend, path: folder });
    try {
      await round(engine);
      meanwhile.write = () => round(engine);
      meanwhile.times = 2;
      const report = await checkOffline(folder, tempDir('scratch'));
      expect(report).toMatchObject({ errors: 0, warnings: 0, findings: [] });
      expect(meanwhile.times).toBe(0);
    } finally {
      meanwhile.times = 0;
      await engine.close();
    }
  },
  60_000,
);

test('a store that never holds still is an error, not a broken copy', async () => {
  const folder = path.join(tempDir('meanwhile'), 'engine');
  const engine = await openEngine({ backend: 'sqlite', path: folder });
  try {
    await round(engine);
    meanwhile.write = async () => {
      await engine.close().catch(() => undefined);
      const again = await openEngine({ backend: 'sqlite', path: folder });
      await again.put('again', Buffer.from('x'));
      await again.close();
    };
    meanwhile.times = Infinity;
    await expect(copyStore(findStore(folder), tempDir('scratch'))).rejects.toMatchObject({
      code: 'Unavailable',
      retry: 'later',
    });
  } finally {
    meanwhile.times = 0;
    await engine.close();
  }
}, 60_000);
