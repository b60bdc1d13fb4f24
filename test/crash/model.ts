/** The engine's contract as plain maps: what any sequence of calls has to give. */
import type {
  Change,
  ChangeSet,
  Compare,
  DeleteResult,
  KeyValue,
  Op,
  Span,
  Transaction,
  TransactionResult,
  TxnOp,
  TxnOpResult,
} from '../../src/engine/index.ts';

export class Model {
  readonly state = new Map<string, KeyValue>();
  /** Of all time, with previous values: compaction only moves `compacted`. */
  readonly history: ChangeSet[] = [];
  compacted = 0;

  get revision(): number {
    return this.history.length;
  }

  /** What a log, or a watch, gives that wasn't asked for previous values. */
  plainHistory(): ChangeSet[] {
    return this.history.map(({ revision, changes }) => {
      return { revision, changes: changes.map(({ type, kv }) => ({ type, kv })) };
    });
  }

  /** @returns false, and changes nothing, when no op changes anything */
  apply(ops: readonly Op[]): boolean {
    const before = this.revision;
    this.transact({ then: ops });
    return this.revision > before;
  }

  /** Undefined: the engine has to refuse it, as it changes a key twice. */
  transact(transaction: Transaction): TransactionResult | undefined {
    const { compares = [], then = [], else: otherwise = [] } = transaction;
    if (!isDistinct(then) || !isDistinct(otherwise)) return undefined;
    const succeeded = compares.every((compare) => this.#holds(compare));
    const revision = this.revision + 1;
    const changes: Change[] = [];
    const ops = succeeded ? then : otherwise;
    const results = ops.map((op) => this.#act(op, revision, changes));
    if (changes.length > 0) this.history.push({ revision, changes });
    return { succeeded, revision: this.revision, results };
  }

  /** In the order of the bytes, which for the tests' ASCII keys is that of the text. */
  sorted(span: Span = { prefix: '' }, state: ReadonlyMap<string, KeyValue> = this.state) {
    return [...state.values()]
      .filter(({ key }) => covers(span, key))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The state at an older revision, told from the beginning of the history. */
  stateAt(revision: number): Map<string, KeyValue> {
    const state = new Map<string, KeyValue>();
    for (const { type, kv } of this.history.slice(0, revision).flatMap(({ changes }) => changes)) {
      if (type === 'put') state.set(kv.key, kv);
      else state.delete(kv.key);
    }
    return state;
  }

  #holds(compare: Compare): boolean {
    const found = this.sorted(compare);
    return (found.length > 0 ? found : [undefined]).every((kv) => {
      const order = orderOf(compare, kv);
      switch (compare.operator) {
        case '=':
          return order === 0;
        case '!=':
          return order !== 0 && !Number.isNaN(order);
        case '<':
          return order < 0;
        case '>':
          return order > 0;
      }
    });
  }

  #act(op: TxnOp, revision: number, changes: Change[]): TxnOpResult {
    if (op.type === 'get') {
      const found = this.sorted(op);
      const { limit = Infinity } = op;
      return { type: 'get', kvs: found.slice(0, limit), more: found.length > limit };
    }
    if (op.type === 'delete') {
      const found = this.sorted(op);
      for (const { key } of found) {
        const kv = { key, value: new Uint8Array(0), createRevision: 0, version: 0 };
        this.#change({ type: 'delete', kv: { ...kv, modRevision: revision } }, changes);
      }
      const result: DeleteResult = { type: 'delete', deleted: found.length };
      return op.previous ? { ...result, previous: found } : result;
    }
    const before = this.state.get(op.key);
    const kv: KeyValue = {
      key: op.key,
      value: op.value,
      modRevision: revision,
      createRevision: before?.createRevision ?? revision,
      version: (before?.version ?? 0) + 1,
    };
    this.#change({ type: 'put', kv }, changes);
    return op.previous && before ? { type: 'put', previous: before } : { type: 'put' };
  }

  #change(change: Change, changes: Change[]): void {
    const { key } = change.kv;
    const previous = this.state.get(key);
    changes.push(previous ? { ...change, previous } : change);
    if (change.type === 'put') this.state.set(key, change.kv);
    else this.state.delete(key);
  }
}

function covers(span: Span, key: string): boolean {
  if ('key' in span) return key === span.key;
  if ('prefix' in span) return span.prefix === '' || key.startsWith(`${span.prefix}/`);
  return key >= span.from && (span.before === undefined || key < span.before);
}

/** Not a number: it can't be compared. */
function orderOf(compare: Compare, kv: KeyValue | undefined): number {
  if (compare.target !== 'value') return (kv?.[compare.target] ?? 0) - compare.value;
  return kv ? Buffer.compare(kv.value, compare.value) : Number.NaN;
}

function isDistinct(ops: readonly TxnOp[]): boolean {
  return ops.every((op, i) => {
    if (op.type === 'get' || (op.type === 'delete' && !('key' in op))) return true;
    return ops.every((other, n) => {
      if (n === i || other.type === 'get') return true;
      const isPut = op.type === 'put';
      return isPut || 'key' in other ? !covers(other, op.key) : true;
    });
  });
}
