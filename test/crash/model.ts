/** The engine's contract as plain maps: what any sequence of calls has to give. */
import type { Change, ChangeSet, KeyValue, Op } from '../../src/engine/index.ts';

export class Model {
  readonly state = new Map<string, KeyValue>();
  /** Of all time: compaction only moves `compacted`. */
  readonly history: ChangeSet[] = [];
  compacted = 0;

  get revision(): number {
    return this.history.length;
  }

  /** @returns false, and changes nothing, when no op changes anything */
  apply(ops: readonly Op[]): boolean {
    const revision = this.revision + 1;
    const changes: Change[] = [];
    for (const op of ops) {
      const { key } = op;
      const before = this.state.get(key);
      if (op.type === 'delete') {
        if (!before) continue;
        const kv = { key, value: new Uint8Array(0), createRevision: 0, version: 0 };
        changes.push({ type: 'delete', kv: { ...kv, modRevision: revision } });
        this.state.delete(key);
        continue;
      }
      const kv: KeyValue = {
        key,
        value: op.value,
        modRevision: revision,
        createRevision: before?.createRevision ?? revision,
        version: (before?.version ?? 0) + 1,
      };
      changes.push({ type: 'put', kv });
      this.state.set(key, kv);
    }
    if (changes.length === 0) return false;
    this.history.push({ revision, changes });
    return true;
  }

  /** In the order of the bytes, which for the tests' ASCII keys is that of the text. */
  sorted(): KeyValue[] {
    return [...this.state.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
