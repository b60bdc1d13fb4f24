import { MiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import { PageSize } from '../../page-size.ts';
import { encodeCheckpoint, parseCheckpoint } from '../../checkpoint.ts';
import type {
  BatchLimits,
  Checkpoint,
  Mutation,
  RemoteEntry,
  ReplicaTarget,
} from '../../target.ts';
import type { EtcdClient } from './client.ts';
import { prefixEnd, type EtcdKeyValue, type RequestOp } from './messages.ts';

/**
 * Entries: etcd takes 128 operations per transaction and branch; 100 leave room for the checkpoint and
 * for what a later version adds. Bytes: etcd takes 1.5 MiB per request; 1 MiB leaves room for one key
 * and the checkpoint, since a batch of one may exceed this limit by its key.
 */
const LIMITS: BatchLimits = { entries: 100, bytes: MiB };
/** Wanted size of a page of `list`, and the most keys in one: a page is one message, held in memory. */
const PAGE_BYTES = 2 * MiB;
const PAGE_KEYS_MAX = 500;

/**
 * One replica's subtree in etcd: `/<root>/hosts/<replicaId>/…`, its checkpoint at `.checkpoint`.
 * The fence is the checkpoint's mod_revision: whoever wrote it since we read it makes `apply` fail
 * with nothing changed.
 */
export class EtcdTarget implements ReplicaTarget {
  readonly id: string;
  readonly limits = LIMITS;
  readonly #client: EtcdClient;
  readonly #subtree: string;
  readonly #checkpointKey: Buffer;
  /** mod_revision of the checkpoint as last read or written; '0' = it was absent. */
  #fence: string | undefined;

  constructor(id: string, client: EtcdClient, place: { root: string; replicaId: string }) {
    this.id = id;
    this.#client = client;
    this.#subtree = `/${place.root}/hosts/${place.replicaId}/`;
    this.#checkpointKey = Buffer.from(`${this.#subtree}.checkpoint`);
  }

  async readCheckpoint(signal: AbortSignal): Promise<Checkpoint | undefined> {
    const { kvs } = await this.#client.range({ key: this.#checkpointKey }, signal);
    const kv = kvs[0];
    const checkpoint = kv && this.#parse(kv);
    this.#fence = kv?.mod_revision ?? '0';
    return checkpoint;
  }

  async apply(
    mutations: readonly Mutation[],
    checkpoint: Checkpoint,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#fence === undefined) throw new Error('apply before readCheckpoint');
    const key = this.#checkpointKey;
    const answer = await this.#client.txn(
      {
        compare: [{ result: 'EQUAL', target: 'MOD', key, mod_revision: this.#fence }],
        success: [
          ...mutations.map((mutation) => this.#operation(mutation)),
          { request_put: { key, value: encodeCheckpoint(checkpoint) } },
        ],
        failure: [{ request_range: { key } }],
      },
      signal,
    );
    if (!answer.succeeded) throw this.#conflict(answer.responses[0]?.response_range?.kvs[0]);
    this.#fence = answer.header?.revision;
  }

  /**
   * Each page is read at the time it is asked for, not at one revision: nobody else writes here, and
   * the comparison only changes keys that it has passed, so a compaction at etcd never spoils it.
   */
  async *list(signal: AbortSignal): AsyncIterable<readonly RemoteEntry[]> {
    const subtree = Buffer.from(this.#subtree);
    const range_end = prefixEnd(subtree);
    const size = new PageSize(PAGE_BYTES, PAGE_KEYS_MAX);
    let key: Buffer = subtree;
    for (;;) {
      const { kvs, more } = await this.#client.range({ key, range_end, limit: size.items }, signal);
      const last = kvs.at(-1);
      if (!last) return;
      yield kvs.flatMap((kv) => this.#entry(kv, subtree.length));
      if (!more) return;
      size.took(
        kvs.length,
        kvs.reduce((sum, kv) => sum + kv.key.length + kv.value.length, 0),
      );
      key = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }

  #operation(mutation: Mutation): RequestOp {
    const key = Buffer.from(this.#subtree + mutation.key);
    return mutation.type === 'put'
      ? { request_put: { key, value: mutation.value } }
      : { request_delete_range: { key } };
  }

  /** Keys that aren't UTF-8 can't be ours, and could not be named to be deleted: left alone. */
  #entry(kv: EtcdKeyValue, skip: number): RemoteEntry[] {
    if (kv.key.equals(this.#checkpointKey)) return [];
    const key = kv.key.toString('utf8', skip);
    if (!Buffer.from(key).equals(kv.key.subarray(skip))) return [];
    return [{ key, value: kv.value }];
  }

  #parse(kv: EtcdKeyValue): Checkpoint {
    const checkpoint = parseCheckpoint(kv.value);
    if (checkpoint) return checkpoint;
    throw new HoldfastError(
      'Conflict',
      `${this.#checkpointKey.toString()} holds something that we never wrote`,
      {
        hint: `find out who writes there; \`etcdctl del ${this.#checkpointKey.toString()}\` lets this host take over`,
      },
    );
  }

  #conflict(found: EtcdKeyValue | undefined): HoldfastError {
    const state = found ? `is at revision ${found.mod_revision}` : 'is gone';
    return new HoldfastError(
      'Conflict',
      `${this.#checkpointKey.toString()} ${state}, we left it at ${this.#fence}: somebody else wrote it`,
    );
  }
}
