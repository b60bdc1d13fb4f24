/** Goal: a start finishes what an earlier run began, waits for none that hangs, and notes what it cannot even begin. */
import { describe, expect, test } from 'vitest';
import { volumeBench } from '../../test/support/volume-bench.ts';
import { AT_REST, plan } from './planner.ts';

/** More than a start waits for one interrupted operation, and less than the operation itself may take. */
const A_WHILE_MS = 20_000;

/** A bench with a create in the journal that an earlier run didn't finish, for each id. */
async function interrupted(...ids: string[]) {
  const bench = await volumeBench();
  for (const id of ids) {
    const intent = { kind: 'create', startedAt: '', plan: plan('create', 'dir', AT_REST) } as const;
    await bench.journal.begin({ ...intent, before: bench.volume(id) }, 0);
  }
  return bench;
}

describe('finishInterrupted', () => {
  test('finishes every entry, and tells of it', async () => {
    const { recovery, records, entries, events } = await interrupted('a', 'b');
    await recovery.finishInterrupted();
    expect(await entries()).toBe(0);
    const phases = (await records.list()).map(({ volume }) => volume.status.phase);
    expect(phases).toEqual(['ready', 'ready']);
    expect(events).toEqual(['volume.created', 'volume.created']);
  });

  test('rolls back what cannot be finished', async () => {
    const { driver, recovery, records, entries } = await interrupted('a', 'b');
    driver.fail('a make-directory');
    await recovery.finishInterrupted();
    expect((await records.list()).map(({ volume }) => volume.spec.id)).toEqual(['b']);
    expect(await entries()).toBe(0);
  });

  test('does not wait for one that hangs: that goes on by itself, the others are done', async () => {
    const { driver, recovery, operations, clock, records, entries } = await interrupted('a', 'b');
    const release = driver.hold('a make-directory');
    const recovering = recovery.finishInterrupted();
    await expect.poll(() => operations.underWay).toBe(1);
    clock.advance(A_WHILE_MS);
    await recovering;
    expect(await entries()).toBe(1);
    await recovery.reconcile();
    release();
    await expect.poll(entries).toBe(0);
    expect((await records.get('a'))?.volume.status.phase).toBe('ready');
  });

  test('what belongs to a service that is not configured is kept and named', async () => {
    const { driver, journal, recovery, runner, entries, volume } = await volumeBench();
    const before = { ...volume('a'), spec: { ...volume('a').spec, service: 'unknown' } };
    const intent = { kind: 'create', startedAt: '', plan: plan('create', 'dir', AT_REST) } as const;
    await journal.begin({ ...intent, before }, 0);
    await recovery.finishInterrupted();
    expect(driver.ran).toEqual([]);
    expect(await entries()).toBe(1);
    expect(runner.stuck()).toMatchObject([{ volumeId: 'a', error: { code: 'Unavailable' } }]);
  });

  test('a rollback that was interrupted is a rollback again, with its reason', async () => {
    const { driver, recovery, journal, records, entries } = await interrupted('a');
    const [open] = await journal.list();
    await journal.fail(open!, open!.stored.volume, 'back');
    await recovery.finishInterrupted();
    expect(driver.ran).toEqual(['a remove-directory']);
    expect(await records.list()).toEqual([]);
    expect(await entries()).toBe(0);
  });
});

describe('the journal', () => {
  test('takes an operation only on the record that it was planned for', async () => {
    const { journal, records, create } = await volumeBench();
    await create('a');
    const stored = (await records.get('a'))!;
    const intent = { kind: 'mount', startedAt: '', plan: plan('mount', 'dir', AT_REST) } as const;
    await expect(
      journal.begin({ ...intent, before: stored.volume }, stored.revision + 1),
    ).rejects.toMatchObject({ code: 'KeyModified' });
    expect(await journal.list()).toEqual([]);
  });

  test('ends an operation once', async () => {
    const { journal } = await interrupted('a');
    const [open] = await journal.list();
    await journal.end(open!, undefined);
    await expect(journal.end(open!, undefined)).rejects.toMatchObject({ code: 'KeyModified' });
  });
});
