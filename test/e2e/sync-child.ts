/**
 * A replicator that kills its own process (SIGKILL) at one call of `apply`.
 * Arguments: store folder, endpoint, replica id, number of the call, `before` | `during` | `after` it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openEngine } from '../../src/engine/index.ts';
import { openTarget, Replicator, type ReplicaTarget } from '../../src/sync/index.ts';

const [path, endpoint, replicaId, number, moment] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  'before' | 'during' | 'after',
];
let calls = 0;

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

async function open(): Promise<ReplicaTarget> {
  const config = { id: 'etcd', type: 'etcd', endpoints: [endpoint] } as const;
  const target = await openTarget(config, { root: 'holdfast', replicaId });
  const apply: ReplicaTarget['apply'] = async (...args) => {
    calls += 1;
    if (calls !== Number(number)) return target.apply(...args);
    if (moment === 'before') die();
    const applied = target.apply(...args);
    if (moment === 'after') await applied;
    // Turns of the loop in which the request leaves, and perhaps arrives.
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    return die();
  };
  return new Proxy(target, {
    get: (real, name) => {
      if (name === 'apply') return apply;
      const member: unknown = Reflect.get(real, name, real);
      return typeof member === 'function' ? (member.bind(real) as unknown) : member;
    },
  });
}

const engine = await openEngine({ backend: 'sqlite', path });
const target = { id: 'etcd', type: 'etcd', endpoints: [endpoint], open };
await new Replicator({ engine, target }).run(new AbortController().signal);
