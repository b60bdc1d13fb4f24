/**
 * Goal: a process killed at any moment of a batch, in a comparison or behind the log, leaves nothing out:
 * the next one brings the target to equality, from what the checkpoint claims and no more.
 * Method: a child kills itself (SIGKILL) before, while and after the n-th batch is applied.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serverMissing, startEtcd, type Etcd } from '../servers/index.ts';
import { Child } from '../support/child.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Follower, localTree, openTempEngine, placeOf, remoteTree, text } from './sync-rig.ts';

/** The compiled child: Node 20 doesn't run TypeScript. */
const child = fileURLToPath(new URL('../../dist/test/e2e/sync-child.js', import.meta.url));
const noServer = serverMissing('etcd');
const missing = noServer ?? (existsSync(child) ? undefined : `not compiled: ${child}`);

describe.skipIf(missing !== undefined)(`SIGKILL in a batch ${missing ?? ''}`, () => {
  let etcd: Etcd;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd?.stop());

  /** Of the comparison's four: the third. Of the log's, after one that only resumes: the second. */
  it.each([
    ['comparing', 3, 'before'],
    ['comparing', 3, 'during'],
    ['comparing', 3, 'after'],
    ['following', 2, 'before'],
    ['following', 2, 'during'],
    ['following', 2, 'after'],
  ] as const)('%s, batch %i, %s', async (phase, number, moment) => {
    const path = tempDir('sync-kill');
    const place = placeOf();
    {
      await using engine = await openTempEngine('sqlite', path);
      if (phase === 'following') {
        await engine.put('kv/0', text('before'));
        await using follower = new Follower(engine, etcd.endpoint, { place });
        await follower.converged();
      }
      const puts = Array.from({ length: 350 }, (_, n) => engine.put(`kv/${n}`, text(`${n}`)));
      await Promise.all(puts);
      await engine.delete('kv/1');
    }
    const args = [child, path, etcd.endpoint, place.replicaId, `${number}`, moment];
    const killed = await Child.start(process.execPath, args);
    expect({ ...(await killed.exited), output: killed.output }).toEqual({
      code: null,
      signal: 'SIGKILL',
      output: '',
    });

    await using engine = await openTempEngine('sqlite', path);
    expect(await remoteTree(etcd, place)).not.toEqual(await localTree(engine));
    await using follower = new Follower(engine, etcd.endpoint, { place });
    await follower.converged();
    expect(await remoteTree(etcd, place)).toEqual(await localTree(engine));
    expect(follower.comparisons).toEqual(
      phase === 'comparing' ? ['the last comparison was not finished'] : [],
    );
  });
});
