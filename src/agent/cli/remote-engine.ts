/** The agent's API as what a lock needs of an engine, so that there is one recipe for locks (engine/lock.ts). */
import { setTimeout as sleep } from 'node:timers/promises';
import { HoldfastError } from '../../base/errors.ts';
import type { ChangeSet, Condition, KeyValue, LockEngine, Op } from '../../engine/index.ts';
import type {
  KvListReply,
  KvWatchLine,
  LeaseBody,
  RevokeLeaseReply,
  TxnReply,
  TxnRequest,
} from '../faces/agent-api/schema.ts';
import type { AgentClient } from './client.ts';
import { withQuery } from './context.ts';
import { follow, isAway } from './follow.ts';

const KV = '/agent/v1/kv';
const LEASES = '/agent/v1/leases';
/** Between two tries of a read while the agent is away. */
const AGAIN_MS = 200;

export class RemoteEngine implements LockEngine {
  readonly leases: LockEngine['leases'];
  readonly #client: AgentClient;
  readonly #patienceMs: number;
  /** Of the last list: what revisions are given to a watch are of this one. */
  #incarnation: string | undefined;

  /** @param patienceMs how long an agent that goes away is waited for, by reads and watches */
  constructor(client: AgentClient, patienceMs: number) {
    this.#client = client;
    this.#patienceMs = patienceMs;
    this.leases = {
      grant: async (ttlSeconds) =>
        (await client.send<LeaseBody>(LEASES, 'POST', { ttlSeconds })).id,
      keepAlive: async (id) =>
        (await client.send<LeaseBody>(`${LEASES}/${id}/keepalive`, 'POST')).ttlSeconds,
      revoke: async (id) =>
        (await client.send<RevokeLeaseReply>(`${LEASES}/${id}`, 'DELETE')).revision,
    };
  }

  /** All pages, as of one revision. */
  async list(prefix: string): Promise<{ kvs: KeyValue[]; revision: number; more: boolean }> {
    const kvs: KeyValue[] = [];
    let revision: number | undefined;
    for (let after: string | undefined; ;) {
      const page = await this.#page({ prefix, after, revision });
      kvs.push(...page.kvs.map(keyValue));
      ({ revision, incarnation: this.#incarnation } = page);
      after = kvs.at(-1)?.key;
      if (!page.more) return { kvs, revision, more: false };
    }
  }

  async txn(conditions: readonly Condition[], ops: readonly Op[]): Promise<number> {
    const request: TxnRequest = {
      compares: conditions.map(({ key, modRevision }) => {
        return { key, target: 'modRevision', operator: '=', number: modRevision };
      }),
      then: ops.map((op) => {
        if (op.type === 'delete') return { type: 'delete', key: op.key };
        const value = Buffer.from(op.value).toString('base64');
        const lease = op.lease === undefined ? {} : { lease: op.lease };
        return { type: 'put', key: op.key, value, ...lease };
      }),
    };
    const answer = await this.#client.send<TxnReply>(`${KV}/txn`, 'POST', request);
    if (answer.succeeded) return answer.revision;
    const keys = conditions.map(({ key }) => key).join(', ');
    throw new HoldfastError('KeyModified', `${keys}: not at the revision expected any more`);
  }

  async *watch(
    prefix: string,
    { from, signal }: { readonly from?: number | undefined; readonly signal: AbortSignal },
  ): AsyncGenerator<ChangeSet> {
    const lines = follow(this.#client, {
      query: { prefix },
      from,
      incarnation: this.#incarnation,
      patienceMs: this.#patienceMs,
      mayBegin: 'later',
      signal,
    });
    for await (const { revision, changes } of lines) {
      if (changes.length > 0) yield { revision, changes: changes.map(changeOf) };
    }
  }

  async #page(query: Record<string, string | number | undefined>): Promise<KvListReply> {
    const untilMs = performance.now() + this.#patienceMs;
    for (;;) {
      try {
        return await this.#client.json<KvListReply>(withQuery(`${KV}/list`, query));
      } catch (thrown) {
        const over = performance.now() >= untilMs;
        if (over || !(thrown instanceof HoldfastError && isAway(thrown))) throw thrown;
      }
      await sleep(AGAIN_MS);
    }
  }
}

function changeOf({ type, ...kv }: KvWatchLine['changes'][number]): ChangeSet['changes'][number] {
  return { type, kv: keyValue(kv) };
}

export function keyValue(kv: KvListReply['kvs'][number]): KeyValue {
  const { key, createRevision, modRevision, version, lease } = kv;
  const value = Buffer.from(kv.value ?? '', 'base64');
  return { key, value, createRevision, modRevision, version, lease };
}
