import { isDeepStrictEqual } from 'node:util';
import { isReplicated } from '../../src/sync/index.ts';
import { openEngine } from '../../src/engine/index.ts';
import type { Etcd, MqttMessage } from '../servers/index.ts';

/** Key relative to the replica's own subtree -> value as text. */
export type Tree = ReadonlyMap<string, string>;

/** What the store on the disk says must be at every target. The agent must be stopped: a store has one opener. */
export async function localTree(enginePath: string): Promise<Tree> {
  const engine = await openEngine({ backend: 'sqlite', path: enginePath });
  try {
    const { kvs } = await engine.list('');
    return new Map(
      kvs
        .filter(({ key }) => isReplicated(key))
        .map(({ key, value }) => [key, Buffer.from(value).toString('utf8')]),
    );
  } finally {
    await engine.close();
  }
}

/** What `etcdctl` reads below `/<root>/hosts/<replicaId>/`, without our own checkpoint. */
export async function remoteTree(etcd: Etcd, replicaId: string): Promise<Tree> {
  const prefix = `/holdfast/hosts/${replicaId}/`;
  const answer = await etcd.etcdctl(['get', '--prefix', prefix, '--write-out', 'json']);
  const { kvs = [] } = JSON.parse(answer) as { kvs?: { key: string; value?: string }[] };
  const decode = (base64 = ''): string => Buffer.from(base64, 'base64').toString('utf8');
  const pairs = kvs.map(
    ({ key, value }) => [decode(key).slice(prefix.length), decode(value)] as const,
  );
  return new Map(pairs.filter(([key]) => key !== '.checkpoint'));
}

/** The differences, a line each; none = equal. */
export function differences(here: Tree, there: Tree): string[] {
  const lines: string[] = [];
  for (const [key, value] of here) {
    if (!there.has(key)) lines.push(`${key}: only here`);
    else if (there.get(key) !== value) lines.push(`${key}: here ${value}, there ${there.get(key)}`);
  }
  for (const key of there.keys()) if (!here.has(key)) lines.push(`${key}: only there`);
  return lines;
}

/** Topic relative to the replica's own -> decoded payload. */
export function topicsOf(
  messages: readonly MqttMessage[],
  replicaId: string,
): Map<string, unknown> {
  const base = `holdfast/${replicaId}/`;
  return new Map(
    messages
      .filter(({ retained, payload }) => retained && payload.length > 0)
      .map(({ topic, payload }) => [topic.slice(base.length), JSON.parse(payload.toString())]),
  );
}

/** What the broker retains must be what is wanted: each topic, and no other; a line per difference. */
export function topicDifferences(
  wanted: ReadonlyMap<string, object>,
  retained: ReadonlyMap<string, unknown>,
): string[] {
  const lines = [...wanted].flatMap(([topic, part]) => {
    if (!retained.has(topic)) return [`${topic}: not retained`];
    const there = retained.get(topic);
    if (covers(there, part)) return [];
    return [`${topic}: here ${JSON.stringify(part)}, at the broker ${JSON.stringify(there)}`];
  });
  const extra = [...retained.keys()].filter((topic) => !wanted.has(topic));
  return [...lines, ...extra.map((topic) => `${topic}: retained, but the agent has no such thing`)];
}

/** `whole` has every member of `part` with the same value; other members are fine. */
function covers(whole: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return isDeepStrictEqual(whole, part);
  if (typeof whole !== 'object' || whole === null) return false;
  const there = whole as Record<string, unknown>;
  return Object.entries(part).every(([name, value]) => covers(there[name], value));
}
