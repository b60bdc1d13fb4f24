/**
 * The contract of src/sync/target.ts as tests, held against any ReplicaTarget. Every store runs the same
 * suite; none may skip a case.
 */
import { describe, expect, test } from 'vitest';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../src/engine/index.ts';
import { newId } from '../../src/base/ids.ts';
import { mutationBytes } from '../../src/sync/outbox.ts';
import type {
  Checkpoint,
  Mutation,
  Place,
  RemoteEntry,
  ReplicaTarget,
} from '../../src/sync/index.ts';

export interface ReplicaTargetHarness {
  /** A new connection to the one store; several of one place are several writers. */
  open(place: Place): Promise<ReplicaTarget>;
  /** As somebody else's hand: a put of the full key, or with undefined a delete. */
  meddle(key: string, value: Uint8Array | undefined): Promise<void>;
  /** Keeps the store from answering until the returned function is called. */
  hang(): Promise<() => void> | (() => void);
}

const never = new AbortController().signal;
const put = (key: string, value: string | Uint8Array = key): Mutation => ({
  type: 'put',
  key,
  value: Buffer.from(value),
});
const checkpointAt = (revision: number): Checkpoint => ({
  incarnation: 'store',
  revision,
  session: 'session',
});

async function listed(target: ReplicaTarget): Promise<RemoteEntry[]> {
  const entries: RemoteEntry[] = [];
  for await (const page of target.list(never)) entries.push(...page);
  return entries;
}

async function keysOf(target: ReplicaTarget): Promise<string[]> {
  return (await listed(target)).map(({ key }) => key);
}

/** Every test writes under a replica id of its own. */
type Using = (
  work: (open: () => Promise<ReplicaTarget>, place: Place) => Promise<void>,
) => () => Promise<void>;

export function replicaTargetContract(name: string, harness: () => ReplicaTargetHarness): void {
  const using: Using = (work) => async () => {
    const place = { root: 'contract', replicaId: newId() };
    const opened: ReplicaTarget[] = [];
    const open = async (): Promise<ReplicaTarget> => {
      const target = await harness().open(place);
      opened.push(target);
      return target;
    };
    try {
      await work(open, place);
    } finally {
      await Promise.all(opened.map((target) => target.close()));
    }
  };
  describe(`replica target contract: ${name}`, () => {
    describe('the checkpoint', () => {
      checkpoints(using, harness);
    });
    describe('the fence', () => {
      fencing(using, harness);
    });
    describe('listing', () => {
      listing(using, harness);
    });
    describe('limits', () => {
      limits(using);
    });
    describe('aborting and closing', () => {
      aborting(using, harness);
    });
  });
}

function checkpoints(using: Using, harness: () => ReplicaTargetHarness): void {
  test(
    'is absent at first, then travels with the data',
    using(async (open) => {
      const target = await open();
      expect(await target.readCheckpoint(never)).toBeUndefined();
      await target.apply([put('kv/a', '1'), put('kv/b', '2')], checkpointAt(7), never);
      const other = await open();
      expect(await other.readCheckpoint(never)).toEqual(checkpointAt(7));
      const found = await listed(other);
      expect(found.map(({ key, value }) => [key, Buffer.from(value).toString()])).toEqual([
        ['kv/a', '1'],
        ['kv/b', '2'],
      ]);
    }),
  );

  test(
    'moves without data, and a batch may be applied twice',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const batch: Mutation[] = [put('kv/a'), { type: 'delete', key: 'kv/never-there' }];
      await target.apply(batch, checkpointAt(1), never);
      await target.apply(batch, checkpointAt(1), never);
      await target.apply([], checkpointAt(2), never);
      expect(await target.readCheckpoint(never)).toEqual(checkpointAt(2));
      expect(await keysOf(target)).toEqual(['kv/a']);
    }),
  );

  test(
    'must have been read before anything is applied',
    using(async (open) => {
      const target = await open();
      await expect(target.apply([], checkpointAt(1), never)).rejects.toThrow('readCheckpoint');
    }),
  );

  test(
    'that we never wrote is a conflict, and names the key',
    using(async (open, place) => {
      const key = `/${place.root}/hosts/${place.replicaId}/.checkpoint`;
      await harness().meddle(key, Buffer.from('not ours'));
      const target = await open();
      await expect(target.readCheckpoint(never)).rejects.toMatchObject({
        code: 'Conflict',
        message: expect.stringContaining(key),
      });
    }),
  );
}

function fencing(using: Using, harness: () => ReplicaTargetHarness): void {
  test(
    'stops a writer whose checkpoint was overwritten, with nothing changed',
    using(async (open) => {
      const [first, second] = [await open(), await open()];
      await first.readCheckpoint(never);
      await second.readCheckpoint(never);
      await second.apply([put('kv/second')], checkpointAt(1), never);
      const late = first.apply([put('kv/first')], checkpointAt(9), never);
      await expect(late).rejects.toMatchObject({ code: 'Conflict' });
      expect(await keysOf(first)).toEqual(['kv/second']);
      expect(await second.readCheckpoint(never)).toEqual(checkpointAt(1));

      await first.readCheckpoint(never);
      await first.apply([put('kv/first')], checkpointAt(2), never);
      expect(await keysOf(first)).toEqual(['kv/first', 'kv/second']);
    }),
  );

  test(
    'stops a writer whose checkpoint was deleted',
    using(async (open, place) => {
      const target = await open();
      await target.readCheckpoint(never);
      await target.apply([put('kv/a')], checkpointAt(1), never);
      await harness().meddle(`/${place.root}/hosts/${place.replicaId}/.checkpoint`, undefined);
      await expect(target.apply([put('kv/b')], checkpointAt(2), never)).rejects.toMatchObject({
        code: 'Conflict',
      });
      expect(await keysOf(target)).toEqual(['kv/a']);
    }),
  );

  test(
    'of one replica knows nothing of another',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const stranger = await harness().open({ root: 'contract', replicaId: newId() });
      await stranger.readCheckpoint(never);
      await stranger.apply([put('kv/theirs')], checkpointAt(5), never);
      await target.apply([put('kv/mine')], checkpointAt(1), never);
      expect(await keysOf(target)).toEqual(['kv/mine']);
      await stranger.close();
    }),
  );
}

function listing(using: Using, harness: () => ReplicaTargetHarness): void {
  test(
    'is all of the subtree in byte order, in pages, without the checkpoint',
    using(async (open, place) => {
      const target = await open();
      await target.readCheckpoint(never);
      const odd = ['kv/ü', 'kv/日本', 'kv/\uff5e', 'kv/😀', 'kv/a b', 'kv/%', '.zzz', 'zz', '-'];
      const keys = [...odd, ...Array.from({ length: 1500 }, (_, n) => `kv/${n}`)];
      for (let from = 0; from < keys.length; from += target.limits.entries) {
        const batch = keys.slice(from, from + target.limits.entries).map((key) => put(key));
        await target.apply(batch, checkpointAt(from), never);
      }
      await harness().meddle(
        `/${place.root}/hosts/${place.replicaId}0/kv/a`,
        Buffer.from('not ours'),
      );
      await harness().meddle(`/${place.root}/hosts/${place.replicaId}`, Buffer.from('not ours'));

      let pages = 0;
      const found: string[] = [];
      for await (const page of target.list(never)) {
        pages += 1;
        for (const { key, value } of page) {
          expect(Buffer.from(value).toString()).toBe(key);
          found.push(key);
        }
      }
      expect(pages).toBeGreaterThan(1);
      const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(found).toEqual(inOrder);
    }),
  );

  test(
    'of nothing is nothing',
    using(async (open) => {
      expect(await listed(await open())).toEqual([]);
    }),
  );

  test(
    'goes on while what it has passed changes',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const keys = Array.from({ length: 100 }, (_, n) => `kv/${String(n).padStart(3, '0')}`);
      await target.apply(
        keys.map((key) => put(key)),
        checkpointAt(1),
        never,
      );
      const found: string[] = [];
      for await (const page of target.list(never)) {
        found.push(...page.map(({ key }) => key));
        const passed: Mutation[] = page.map(({ key }) => ({ type: 'delete', key }));
        await target.apply(passed, checkpointAt(0), never);
      }
      expect(found).toEqual(keys);
      expect(await listed(target)).toEqual([]);
    }),
  );
}

function limits(using: Using): void {
  test(
    'a batch of as many entries as it says is taken',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const batch = Array.from({ length: target.limits.entries }, (_, n) => put(`kv/${n}`));
      await target.apply(batch, checkpointAt(1), never);
      expect(await keysOf(target)).toHaveLength(target.limits.entries);
    }),
  );

  test(
    'a batch of as many bytes as it says is taken',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const batch: Mutation[] = [];
      let left = target.limits.bytes;
      for (let n = 0; left > 0 && batch.length < target.limits.entries; n++) {
        const empty = put(`kv/${n}`, '');
        const share = Math.floor(target.limits.bytes / target.limits.entries);
        const value = new Uint8Array(Math.max(0, share - mutationBytes(empty))).fill(n);
        batch.push(put(empty.key, value));
        left -= mutationBytes(batch.at(-1)!);
      }
      await target.apply(batch, checkpointAt(1), never);
      expect(await listed(target)).toHaveLength(batch.length);
    }),
  );

  test(
    "the engine's largest key and value, the empty value and all bytes come back as they were",
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const largest = put(
        `kv/${'k'.repeat(KEY_BYTES_MAX - 3)}`,
        new Uint8Array(VALUE_BYTES_MAX).fill(7),
      );
      const allBytes = put(
        'kv/bytes',
        Uint8Array.from({ length: 256 }, (_, n) => n),
      );
      await target.apply([largest], checkpointAt(1), never);
      await target.apply([allBytes, put('kv/empty', '')], checkpointAt(2), never);
      const found = new Map(
        (await listed(target)).map(({ key, value }) => [key, Buffer.from(value)]),
      );
      expect(found.get('kv/empty')).toEqual(Buffer.alloc(0));
      expect(found.get('kv/bytes')).toEqual(Buffer.from(Array.from({ length: 256 }, (_, n) => n)));
      expect(found.get(largest.key)?.equals(Buffer.alloc(VALUE_BYTES_MAX, 7))).toBe(true);
    }),
  );

  test(
    'pages of large values are bounded: no page holds all of them',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      for (let n = 0; n < 40; n++) {
        await target.apply(
          [put(`kv/${n}`, new Uint8Array(VALUE_BYTES_MAX / 2))],
          checkpointAt(n),
          never,
        );
      }
      let most = 0;
      for await (const page of target.list(never)) most = Math.max(most, page.length);
      expect(most).toBeLessThanOrEqual(20);
    }),
  );
}

function aborting(using: Using, harness: () => ReplicaTargetHarness): void {
  const first = async (pages: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of pages) return;
  };

  test(
    'an aborted signal ends every call at once',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const aborted = AbortSignal.abort();
      const calls = [
        target.readCheckpoint(aborted),
        target.apply([put('kv/a')], checkpointAt(1), aborted),
        first(target.list(aborted)),
      ];
      for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'Cancelled' });
    }),
  );

  test(
    'an abort ends a call that waits for the store',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      const goOn = await harness().hang();
      try {
        for (const call of ['readCheckpoint', 'apply', 'list'] as const) {
          const stop = new AbortController();
          const waiting =
            call === 'apply'
              ? target.apply([], checkpointAt(1), stop.signal)
              : call === 'list'
                ? first(target.list(stop.signal))
                : target.readCheckpoint(stop.signal);
          setImmediate(() => stop.abort());
          await expect(waiting).rejects.toMatchObject({ code: 'Cancelled' });
        }
      } finally {
        goOn();
      }
      // What was on its way when the abort came may still arrive: whole, or not at all.
      const after = await (await open()).readCheckpoint(never);
      expect([undefined, checkpointAt(1)]).toContainEqual(after);
    }),
  );

  test(
    'closing twice is fine',
    using(async (open) => {
      const target = await open();
      await target.readCheckpoint(never);
      await target.close();
      await expect(target.close()).resolves.toBeUndefined();
    }),
  );
}
