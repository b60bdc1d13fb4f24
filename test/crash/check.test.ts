/**
 * Goal: the check calls a whole store whole, and finds whatever is wrong with a damaged one: each flip,
 * truncation and swapped page is found, or proven harmless by reading all of the store against what was
 * acknowledged. It changes no byte of it, takes the same memory whatever its size, and a copy taken
 * beside a busy writer is whole.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkStore, type CheckReport } from '../../src/engine/check.ts';
import { encodeGrant, encodeMember, grantKey, memberKey } from '../../src/engine/lease-record.ts';
import { encodeLogRecord, logKey } from '../../src/engine/log.ts';
import { checkOffline, openOffline } from '../../src/engine/offline.ts';
import { openMemory } from '../../src/engine/backends/memory.ts';
import { openEngine, type Op } from '../../src/engine/index.ts';
import { MiB } from '../../src/base/bytes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { damage, PAGE_BYTES } from './damage.ts';
import { WriterProcess } from './processes.ts';
import { Random } from './random.ts';
import { contents, fill, makeStore, refusal, STORE_FILE } from './store-files.ts';
import {
  encodeHead,
  encodeIdentity,
  encodeKeyValue,
  HEAD_KEY,
  IDENTITY_KEY,
} from '../../src/engine/record.ts';
import type { Backend, Write } from '../../src/engine/backend.ts';
import type { KeyValue } from '../../src/engine/engine.ts';
import type { StoredHead } from '../../src/engine/record.ts';
import type { Ack } from './workload.ts';

const BACKENDS = ['sqlite', 'lmdb'] as const;
const DAMAGES = 200;
const COPIES = 8;

async function check(folder: string): Promise<CheckReport> {
  const before = contents(folder);
  const report = await checkOffline(folder, tempDir('scratch'));
  expect(contents(folder)).toEqual(before);
  return report;
}

describe.each(BACKENDS)('%s', (backend) => {
  let whole: string;
  let acks: Ack[];
  let bytes: Buffer;
  beforeAll(async () => {
    whole = path.join(tempDir('whole'), 'engine');
    acks = await makeStore(backend, whole);
    bytes = readFileSync(path.join(whole, STORE_FILE[backend]));
  });

  test('a whole store, and an empty one', async () => {
    const revision = acks.at(-1)!.revision;
    expect(await check(whole)).toMatchObject({
      errors: 0,
      warnings: 0,
      findings: [],
      revision,
      keys: 599,
      logRecords: revision,
    });
    const empty = path.join(tempDir('empty'), 'engine');
    await (await openEngine({ backend, path: empty })).close();
    expect(await check(empty)).toMatchObject({ errors: 0, keys: 0, logRecords: 0, revision: 0 });
  });

  test('a store that was compacted in the middle', async () => {
    const folder = path.join(tempDir('compacted'), 'engine');
    const engine = await openEngine({ backend, path: folder });
    const written = await fill(engine);
    await engine.compact(written[200]!.revision);
    await engine.put('dir/0/key-7', Buffer.from('again'));
    await engine.close();
    expect(await check(folder)).toMatchObject({ errors: 0, compacted: written[200]!.revision });
  });

  test(`damaged at ${DAMAGES} places: found, or harmless`, async () => {
    const random = new Random(21);
    let found = 0;
    for (let i = 0; i < DAMAGES; i += 1) {
      const folder = tempDir('damaged');
      writeFileSync(path.join(folder, STORE_FILE[backend]), damage(bytes, random, i).bytes);
      const { errors } = await checkOffline(folder, tempDir('scratch')).catch(() => ({
        errors: 1,
      }));
      if (errors > 0) found += 1;
      // Throws when anything reads wrong without an error. What is refused has to have been found.
      else expect(await refusal(backend, folder, acks)).toBeUndefined();
      rmSync(folder, { recursive: true });
    }
    expect(found).toBeGreaterThan(DAMAGES / 2);
  }, 120_000);

  test('beside a writer under load, and what SIGKILL leaves of it', async () => {
    const folder = path.join(tempDir('live'), 'engine');
    const writer = await WriterProcess.start({
      backend,
      path: folder,
      seed: 5,
      epoch: 'a',
      compacts: true,
    });
    const seen = new Set<number>();
    for (let i = 0; i < COPIES; i += 1) {
      await writer.acknowledged(writer.acks.length + 50);
      const acknowledged = writer.acks.at(-1)!.revision;
      const report = await checkOffline(folder, tempDir('scratch'));
      expect(report).toMatchObject({ errors: 0, findings: [] });
      expect(report.revision).toBeGreaterThanOrEqual(acknowledged);
      seen.add(report.revision!);
    }
    expect(seen.size).toBe(COPIES);
    await writer.kill();
    expect((await check(folder)).findings).toEqual([]);
    expect(await refusal(backend, folder, writer.acks)).toBeUndefined();
  }, 120_000);

  test('100,000 keys take no more memory than a page of them', async () => {
    const folder = path.join(tempDir('large'), 'engine');
    const engine = await openEngine({ backend, path: folder });
    for (let at = 0; at < 100_000; at += 1000) {
      const ops = Array.from({ length: 1000 }, (_, n): Op => {
        return { type: 'put', key: `large/${at + n}`, value: Buffer.alloc(1000, n) };
      });
      await engine.txn([], ops);
    }
    await engine.close();
    const copy = await openOffline(folder, tempDir('scratch'));
    try {
      const before = process.memoryUsage();
      let peak = 0;
      const onProgress = (): void => {
        const { heapUsed, external } = process.memoryUsage();
        peak = Math.max(peak, heapUsed + external - before.heapUsed - before.external);
      };
      expect(checkStore(copy, { onProgress })).toMatchObject({ errors: 0, keys: 100_000 });
      // The store has 200 MB of values. V8 lets some garbage lie.
      expect(peak).toBeLessThan(96 * MiB);
    } finally {
      await copy.close();
    }
  }, 120_000);
});

describe('a WAL damaged in its middle', () => {
  /** Of a new SQLite store, with its header. */
  const FRAME_BYTES = 2048 + 24;

  const AT = 32 + 40 * FRAME_BYTES;
  const flip = (bytes: Buffer, at: number): void => void (bytes[at]! ^= 4);
  const zero = (bytes: Buffer, at: number): void => void bytes.fill(0, at, at + 2 * PAGE_BYTES);

  test.each([
    ['its header', 17, flip, 0],
    ["a frame's page", AT + 1000, flip, 41],
    ["a frame's checksum", AT + 17, flip, 41],
    ["a frame's salt", AT + 9, flip, 41],
    ['three frames zeroed', AT + 100, zero, 41],
  ])('%s: what SQLite silently leaves out is an error', async (_what, at, damageIt, frame) => {
    const folder = tempDir('wal');
    const live = path.join(folder, 'live');
    const dead = path.join(folder, 'dead');
    mkdirSync(dead);
    const engine = await openEngine({ backend: 'sqlite', path: live });
    await fill(engine);
    for (const name of ['store.db', 'store.db-wal']) {
      copyFileSync(path.join(live, name), path.join(dead, name));
    }
    await engine.close();
    expect(await check(dead)).toMatchObject({ errors: 0 });
    const wal = path.join(dead, 'store.db-wal');
    expect(statSync(wal).size).toBeGreaterThan(32 + 100 * FRAME_BYTES);
    const bytes = readFileSync(wal);
    damageIt(bytes, at);
    writeFileSync(wal, bytes);
    const { findings } = await check(dead);
    expect(findings[0]).toMatchObject({ severity: 'error', where: 'store.db-wal' });
    expect(findings[0]!.what).toContain(frame === 0 ? 'header' : `frame ${frame} of`);
    // No agent goes on without it, nor writes over it.
    const before = contents(dead);
    expect(await refusal('sqlite', dead)).toMatchObject({ code: 'Corrupt' });
    expect(contents(dead)).toEqual(before);
    // Cut off there, as a crash leaves it, nothing tells.
    writeFileSync(wal, bytes.subarray(0, AT + 100));
    if (frame > 0) expect(await check(dead)).toMatchObject({ errors: 0, warnings: 0 });
  });
});

describe('records that contradict each other, each whole by itself', () => {
  const kv = (key: string, at: number, more: Partial<KeyValue> = {}): KeyValue => {
    const value = Buffer.from(`${key} ${at}`);
    return { key, value, createRevision: at, modRevision: at, version: 1, ...more };
  };
  const ofKey = (of: KeyValue): Write => {
    const key = Buffer.from(of.key);
    return { table: 'kv', key, value: encodeKeyValue(key, of) };
  };
  const recordOf = (of: KeyValue): Buffer => encodeKeyValue(Buffer.from(of.key), of);
  const ofLog = (of: KeyValue, type: 'put' | 'delete' = 'put', previous?: Buffer): Write => {
    const change = { type, kv: type === 'put' ? of : { ...of, value: Buffer.alloc(0) } };
    const changes = [{ change, previous }];
    return { table: 'log', ...encodeLogRecord({ revision: of.modRevision, changes }) };
  };
  const A = kv('a', 3);
  const B = kv('b', 4);
  const C = kv('c', 1);
  const records = [ofKey(A), ofKey(B), ofKey(C), ofLog(A), ofLog(B), ofLog(kv('d', 5), 'delete')];
  const head: StoredHead = {
    revision: 5,
    compacted: 2,
    keys: 3,
    logBytes: records
      .filter(({ table }) => table === 'log')
      .reduce((sum, { value }) => sum + value!.length, 0),
  };

  /** The store above, with `changes` made to it. */
  const store = (changes: readonly Write[], ofHead: Partial<StoredHead> = {}): Backend => {
    const identity = encodeIdentity('01890a5d-ac96-774b-bcce-b302099a8057');
    const backend = openMemory([
      { table: 'meta', key: IDENTITY_KEY, value: identity },
      { table: 'meta', key: HEAD_KEY, value: encodeHead({ ...head, ...ofHead }) },
      ...records,
    ]);
    void backend.commit(changes);
    return backend;
  };
  const gone = (table: 'kv' | 'log', key: Buffer): Write => ({ table, key, value: undefined });

  test('as it should be', () => {
    expect(checkStore(store([]))).toMatchObject({ errors: 0, warnings: 0, keys: 3, logRecords: 3 });
  });

  test.each<[string, Write[], Partial<StoredHead>, RegExp]>([
    [
      'a key that the log put is gone',
      [gone('kv', Buffer.from('a'))],
      { keys: 2 },
      /kv "a".*put by log record 3/,
    ],
    [
      'a key of before the compaction is gone',
      [gone('kv', Buffer.from('c'))],
      {},
      /counts 3 keys, 2/,
    ],
    ['an older value', [ofKey(kv('a', 1))], {}, /kv "a".*at revision 1, but log record 3/],
    [
      'another value',
      [ofKey({ ...A, value: Buffer.from('x') })],
      {},
      /kv "a".*not what log record 3/,
    ],
    ['a deleted key is there', [ofKey(kv('d', 2))], { keys: 4 }, /kv "d".*log record 5 deleted it/],
    [
      'a value the log lacks',
      [ofKey(kv('e', 4))],
      { keys: 4 },
      /kv "e".*at revision 4, which the log lacks/,
    ],
    [
      'a key beyond the head',
      [ofKey(kv('e', 9))],
      { keys: 4 },
      /kv "e".*at revision 9, the store is at 5/,
    ],
    ['revisions that cannot be', [ofKey(kv('c', 1, { version: 3 }))], {}, /kv "c".*can't be/],
    ['a key that is none', [ofKey(kv('x//y', 1))], { keys: 4 }, /empty segment/],
    ['a gap in the log', [gone('log', logKey(4))], {}, /log 4.*is missing/],
    ['a log that ends early', [gone('log', logKey(5))], {}, /log 5.*is missing/],
    ['a log beyond the head', [ofLog(kv('z', 6), 'delete')], {}, /log 6.*beyond/],
    ['a wrong count of bytes', [], { logBytes: 7 }, /counts 7 bytes of log/],
    [
      'a head that was compacted too far',
      [],
      { compacted: 9 },
      /compacted up to 9, the revision is 5/,
    ],
    [
      'a record of kv under another key',
      [{ ...ofKey(A), key: Buffer.from('f') }],
      { keys: 4 },
      /kv "f".*checksum/,
    ],
    [
      'no head',
      [{ table: 'meta', key: HEAD_KEY, value: undefined }],
      {},
      /meta head.*no head record/,
    ],
    [
      'no identity',
      [{ table: 'meta', key: IDENTITY_KEY, value: undefined }],
      {},
      /meta identity.*no identity/,
    ],
  ])('%s', (_what, changes, ofHead, words) => {
    const { errors, findings } = checkStore(store(changes, ofHead));
    expect(errors).toBeGreaterThan(0);
    expect(findings.map(({ where, what }) => `${where}: ${what}`).join('\n')).toMatch(words);
  });

  describe('previous records', () => {
    // After the compaction: put at 3, put again at 6, deleted at 7. What was there before 3 is compacted.
    const second = kv('a', 6, { createRevision: 1, version: 3 });
    const first = { ...second, value: Buffer.from('first'), modRevision: 3, version: 2 };
    const older = kv('a', 1);
    const story = (
      ofFirst: Buffer | undefined,
      ofSecond: Buffer | undefined,
      ofDelete: Buffer | undefined,
    ): Backend => {
      const log = [
        ofLog(first, 'put', ofFirst),
        ofLog(second, 'put', ofSecond),
        ofLog({ ...kv('a', 7), createRevision: 0, version: 0 }, 'delete', ofDelete),
      ];
      const logBytes = [ofLog(B), ofLog(kv('d', 5), 'delete'), ...log].reduce(
        (sum, { value }) => sum + value!.length,
        0,
      );
      return store([...log, gone('kv', Buffer.from('a'))], { revision: 7, keys: 2, logBytes });
    };

    test('as they should be, or left out', () => {
      const [a, b, c] = [recordOf(older), recordOf(first), recordOf(second)];
      expect(checkStore(story(a, b, c)).findings).toEqual([]);
      expect(checkStore(story(undefined, undefined, undefined)).findings).toEqual([]);
    });

    const flipped = Buffer.from(recordOf(first));
    flipped[flipped.length - 1]! ^= 1;
    test.each<[string, Backend, RegExp]>([
      ['a damaged one', story(undefined, flipped, undefined), /log 6: "a".*checksum/],
      [
        'of another put',
        story(undefined, recordOf({ ...first, value: Buffer.from('x') }), undefined),
        /log 6: "a".*not what log record 3 put/,
      ],
      [
        'of a revision that did not put it',
        story(recordOf({ ...first, modRevision: 5, version: 1 }), undefined, undefined),
        /log 3: "a".*previous record is of 5/,
      ],
      [
        'of a version that does not fit',
        story(recordOf({ ...older, version: 7 }), undefined, undefined),
        /log 3: "a" version 2 comes after version 7/,
      ],
      [
        'of a key that was gone',
        store([
          ofLog(kv('a', 4), 'delete'),
          ofLog({ ...A, modRevision: 5, version: 2 }, 'put', recordOf(A)),
        ]),
        /log 5: "a" has a previous record, but log record 4 deleted it/,
      ],
      [
        'none, but it was there',
        store([ofLog(kv('a', 4))]),
        /log 4: "a" is new, but log record 3 put it/,
      ],
    ])('%s', (_what, backend, words) => {
      const { findings } = checkStore(backend);
      expect(findings.map(({ where, what }) => `${where}: ${what}`).join('\n')).toMatch(words);
    });
  });

  describe('leases', () => {
    const leased = { ...C, lease: 7 };
    const grant: Write = { table: 'meta', key: grantKey(7), value: encodeGrant(grantKey(7), 10) };
    const member = (id: number, key: string): Write => {
      const record = memberKey(id, key);
      return { table: 'meta', key: record, value: encodeMember(record) };
    };

    test('as they should be', () => {
      const report = checkStore(store([ofKey(leased), grant, member(7, 'c')]));
      expect(report).toMatchObject({ errors: 0, warnings: 0 });
    });

    test.each<[string, Write[], RegExp]>([
      ['a key its lease does not name', [ofKey(leased), grant], /kv "c".*does not name it/],
      [
        'a lease that names what is not under it',
        [grant, member(7, 'c')],
        /"c", which is not under/,
      ],
      ['a lease that names what is gone', [grant, member(7, 'x')], /"x", which is not there/],
      ['a lease that is gone', [ofKey(leased), member(7, 'c')], /lease 7: is gone, but "c"/],
      ['a damaged lease', [{ ...grant, value: Buffer.alloc(8) }], /lease 7: .*checksum/],
    ])('%s', (_what, changes, words) => {
      const { errors, findings } = checkStore(store(changes));
      expect(errors).toBe(1);
      expect(findings.map(({ where, what }) => `${where}: ${what}`).join('\n')).toMatch(words);
    });
  });

  test('findings are counted beyond those that are kept', () => {
    const many = Array.from({ length: 500 }, (_, i) => ofKey(kv(`n/${i}`, 9)));
    const report = checkStore(store(many), { findingsMax: 7 });
    expect(report.findings.length).toBe(7);
    expect(report.errors).toBeGreaterThan(500);
  });
});
