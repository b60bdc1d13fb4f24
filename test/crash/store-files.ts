/** Stores as files: made, looked at byte for byte, opened and read through. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { HoldfastError } from '../../src/base/errors.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { verify } from './verify.ts';
import { valueOf, type Ack } from './workload.ts';

export type FileBackend = 'sqlite' | 'lmdb';
export const STORE_FILE = { sqlite: 'store.db', lmdb: 'store.mdb' } as const;

/** Enough that the trees have branch pages, and values that take pages of their own. */
export async function fill(engine: Engine): Promise<Ack[]> {
  const acks: Ack[] = [];
  for (let i = 0; i < 10; i += 1) {
    const keys = Array.from({ length: 60 }, (_, n) => `dir/${n % 7}/key-${i * 60 + n}`);
    await Promise.all(
      keys.map(async (key) => {
        const serial = `s.${i}`;
        acks.push({ revision: await engine.put(key, valueOf(key, serial)), ops: [[key, serial]] });
      }),
    );
  }
  const revision = await engine.delete('dir/0/key-0');
  acks.push({ revision: revision!, ops: [['dir/0/key-0', null]] });
  return acks;
}

export async function makeStore(backend: FileBackend, folder: string): Promise<Ack[]> {
  const engine = await openEngine({ backend, path: folder });
  try {
    return await fill(engine);
  } finally {
    await engine.close();
  }
}

/** Every file with its size and checksum; LMDB's lock file holds no data and names whoever opened it. */
export function contents(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.endsWith('-lock'))
    .sort()
    .map((name) => {
      const bytes = readFileSync(path.join(folder, name));
      return `${name} ${bytes.length} ${crc32(bytes)}`;
    });
}

/**
 * Opens a store, reads all of it against `acks` and closes it again.
 * @returns what was refused, or undefined when all was there. @throws when something is missing without an error
 */
export async function refusal(
  backend: FileBackend,
  folder: string,
  acks: readonly Ack[] = [],
): Promise<HoldfastError | undefined> {
  try {
    const engine = await openEngine({ backend, path: folder });
    try {
      const { lost, broken, messages } = await verify(engine, acks);
      if (lost + broken > 0) throw new Error(`silent: ${messages.join('; ')}`);
    } finally {
      await engine.close();
    }
    return undefined;
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return thrown;
    throw thrown;
  }
}
