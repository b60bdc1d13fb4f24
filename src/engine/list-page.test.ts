/**
 * Goal: a list in pages, bounded by keys and by bytes, is the whole list, now and as of any revision, and each
 * page goes on where the one before ended. Method: random writes, then every way to page against one whole list.
 */
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { BACKENDS, openEngine, type Engine, type KeyValue } from './index.ts';

const RUNS = 15;
const PREFIX = 'p';

type Write = readonly [key: number, bytes: number | undefined];

const writes = fc.array(
  fc.tuple(fc.nat(12), fc.option(fc.nat(400), { nil: undefined })) satisfies fc.Arbitrary<Write>,
  { minLength: 1, maxLength: 40 },
);

async function apply(engine: Engine, [key, bytes]: Write): Promise<void> {
  const name = `${PREFIX}/${String(key).padStart(2, '0')}`;
  if (bytes === undefined) await engine.delete(name);
  else await engine.put(name, Buffer.alloc(bytes, key));
}

async function inPages(
  engine: Engine,
  options: { readonly limit: number; readonly bytesMax: number; readonly revision?: number },
): Promise<KeyValue[]> {
  const got: KeyValue[] = [];
  for (;;) {
    const after = got.at(-1)?.key;
    const { kvs, more } = await engine.list(PREFIX, { ...options, after });
    expect(kvs.length).toBeLessThanOrEqual(options.limit);
    const bytes = kvs.slice(0, -1).reduce((sum, { value }) => sum + value.length, 0);
    expect(bytes).toBeLessThan(options.bytesMax);
    got.push(...kvs);
    if (!more) return got;
    // Otherwise a reader would ask for the same page for ever.
    if (options.revision !== undefined) expect(kvs.length).toBeGreaterThan(0);
  }
}

test.each(BACKENDS)('%s', async (backend) => {
  const folder = tempDir('pages');
  let run = 0;
  await fc.assert(
    fc.asyncProperty(writes, fc.integer({ min: 1, max: 600 }), async (steps, bytesMax) => {
      run += 1;
      const engine = await openEngine({ backend, path: path.join(folder, String(run)) });
      try {
        for (const step of steps) await apply(engine, step);
        for (let revision = 0; revision <= engine.revision; revision += 3) {
          const { kvs } = await engine.list(PREFIX, { revision });
          for (const limit of [1, 3, 100]) {
            expect(await inPages(engine, { limit, bytesMax, revision })).toEqual(kvs);
          }
        }
        const { kvs } = await engine.list(PREFIX);
        expect(await inPages(engine, { limit: 4, bytesMax })).toEqual(kvs);
        expect(await inPages(engine, { limit: 100, bytesMax: 1 })).toEqual(kvs);
      } finally {
        await engine.close();
      }
    }),
    { numRuns: RUNS },
  );
});
