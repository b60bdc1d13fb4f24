import type { Checkpoint } from './target.ts';

/** One JSON object, readable with the store's own tools: `{"incarnation":…,"revision":…,"session":…}`. */
export function encodeCheckpoint({ incarnation, revision, session }: Checkpoint): Uint8Array {
  return Buffer.from(JSON.stringify({ incarnation, revision, session }));
}

/** undefined when it isn't a checkpoint; unknown members are ignored. */
export function parseCheckpoint(value: Uint8Array): Checkpoint | undefined {
  const parsed = parseObject(value);
  if (!parsed) return undefined;
  const { incarnation, revision, session } = parsed;
  if (typeof incarnation !== 'string' || typeof session !== 'string') return undefined;
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0)
    return undefined;
  return { incarnation, revision, session };
}

export function sameCheckpoint(a: Checkpoint | undefined, b: Checkpoint | undefined): boolean {
  if (!a || !b) return a === b;
  return a.incarnation === b.incarnation && a.revision === b.revision && a.session === b.session;
}

export function parseObject(value: Uint8Array): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}
