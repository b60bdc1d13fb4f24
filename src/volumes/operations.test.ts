/** Goal: one operation at a time per volume and in order, other volumes pass, what waited too long never begins, what fails is rolled back or stuck, and closing begins nothing. */
import { describe, expect, test } from 'vitest';
import { volumeBench } from '../../test/support/volume-bench.ts';
import { decideMount, decideRemove } from './decide.ts';
import { OPERATION_DEADLINE_MS } from './runner.ts';

/** Longer than any operation is waited for. */
const AGES_MS = 60 * 60_000;

describe('order', () => {
  test('the second operation on a volume begins when the first is done; another volume passes', async () => {
    const { driver, operations, create } = await volumeBench();
    await create('a');
    await create('b');
    const release = driver.hold('a check-directory');
    const first = operations.run('a', 'mount', decideMount);
    await expect.poll(() => driver.ran).toContain('a check-directory');
    const second = operations.run('a', 'mount', decideMount);
    await operations.run('b', 'mount', decideMount);
    expect(driver.ran.filter((what) => what.endsWith('check-directory'))).toEqual([
      'a check-directory',
      'b check-directory',
    ]);
    expect(operations.underWay).toBe(2);
    release();
    await Promise.all([first, second]);
    expect(operations.underWay).toBe(0);
  });

  test('one that waited beyond its deadline never begins', async () => {
    const { driver, operations, clock, create } = await volumeBench();
    await create('a');
    const release = driver.hold('a check-directory');
    const first = operations.run('a', 'mount', decideMount);
    await expect.poll(() => driver.ran).toContain('a check-directory');
    const second = operations.run('a', 'remove', decideRemove(false));
    clock.advance(AGES_MS + 5_000);
    await expect(first).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: expect.stringMatching(/mount hangs in step check-directory/) as string,
    });
    await expect(second).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: expect.stringMatching(/remove waited for its turn/) as string,
    });
    release();
    await expect.poll(() => operations.underWay).toBe(0);
    expect(driver.ran).not.toContain('a trash-directory');
  });

  test('what hangs is told as stuck while it does, and recorded when it comes back', async () => {
    const { driver, operations, runner, clock, records, create } = await volumeBench();
    await create('a');
    const release = driver.hold('a check-directory');
    const hanging = operations.run('a', 'mount', decideMount);
    await expect.poll(() => driver.ran).toContain('a check-directory');
    clock.advance(OPERATION_DEADLINE_MS.mount + 5_000);
    await expect(hanging).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    expect(runner.stuck()).toMatchObject([
      { operation: 'mount', volumeId: 'a', step: 'check-directory' },
    ]);
    release();
    await expect.poll(() => operations.underWay).toBe(0);
    expect(runner.stuck()).toEqual([]);
    expect((await records.get('a'))?.volume.status.phase).toBe('ready');
  });

  test('no more than 256 at once', async () => {
    const { driver, operations, create } = await volumeBench();
    const release = driver.hold('a make-directory');
    const many = Array.from({ length: 256 }, () => create('a').catch(() => undefined));
    await expect(create('b')).rejects.toMatchObject({ code: 'Unavailable' });
    release();
    await Promise.all(many);
    await create('b');
    expect(operations.underWay).toBe(0);
  });
});

describe('failure', () => {
  test('a create that fails is rolled back: nothing is left, and the name is free', async () => {
    const { engine, driver, events, create, entries } = await volumeBench();
    driver.fail('a make-directory');
    await expect(create('a')).rejects.toThrow('a make-directory failed');
    expect(driver.ran).toEqual(['a make-directory', 'a remove-directory']);
    expect((await engine.list('')).kvs).toEqual([]);
    expect(events).toEqual(['volume.rolled-back']);
    expect(await entries()).toBe(0);
    driver.works('a make-directory');
    await create('a');
  });

  test('one that cannot be rolled back is stuck, says why, and is tried again by the next operation', async () => {
    const { driver, operations, runner, records, create, entries, events } = await volumeBench();
    driver.fail('a make-directory');
    driver.fail('a remove-directory');
    await expect(create('a')).rejects.toThrow('a remove-directory failed');
    expect(runner.stuck()).toMatchObject([{ operation: 'create', error: { code: 'HostFailed' } }]);
    expect((await records.get('a'))?.volume.status).toMatchObject({ phase: 'failed' });
    expect(await entries()).toBe(1);
    await expect(operations.run('a', 'mount', decideMount)).rejects.toThrow('a remove-directory');
    driver.works('a remove-directory');
    await expect(operations.run('a', 'mount', decideMount)).rejects.toMatchObject({
      code: 'NotFound',
    });
    expect(runner.stuck()).toEqual([]);
    expect(await entries()).toBe(0);
    expect(events).toEqual(['volume.stuck', 'volume.stuck', 'volume.rolled-back']);
  });

  test('a removal beyond the point of no return goes forward only', async () => {
    const { driver, operations, records, create, entries } = await volumeBench();
    await create('a');
    driver.fail('a delete-trash');
    await expect(operations.run('a', 'remove', decideRemove(false))).rejects.toThrow(
      'delete-trash',
    );
    expect((await records.get('a'))?.volume.status).toMatchObject({ phase: 'removing' });
    driver.works('a delete-trash');
    await expect(operations.run('a', 'remove', decideRemove(false))).rejects.toMatchObject({
      code: 'NotFound',
    });
    expect(await records.get('a')).toBeUndefined();
    expect(await entries()).toBe(0);
  });

  test('a deadline that passes between two steps rolls back', async () => {
    const { driver, clock, create, entries } = await volumeBench('loop');
    driver.on('a allocate-image', async () => clock.advance(OPERATION_DEADLINE_MS.create));
    await expect(create('a')).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: 'create of volume "a" took more than 1800 s',
    });
    expect(driver.ran).toEqual(['a allocate-image', 'a unlink-image']);
    expect(await entries()).toBe(0);
  });

  test('one that passes in the last step changes nothing any more: it is done', async () => {
    const { driver, clock, create, entries } = await volumeBench('loop');
    driver.on('a format', async () => clock.advance(OPERATION_DEADLINE_MS.create));
    expect((await create('a')).status.phase).toBe('ready');
    expect(await entries()).toBe(0);
  });
});

describe('closing', () => {
  test('nothing new begins, and who waits is told', async () => {
    const { driver, operations, create } = await volumeBench();
    await create('a');
    const release = driver.hold('a check-directory');
    const first = operations.run('a', 'mount', decideMount);
    const second = operations.run('a', 'mount', decideMount);
    await expect.poll(() => driver.ran).toContain('a check-directory');
    operations.close();
    await expect(operations.run('a', 'mount', decideMount)).rejects.toMatchObject({
      code: 'Unavailable',
    });
    release();
    await first;
    await expect(second).rejects.toMatchObject({ code: 'Cancelled' });
  });

  test('what is under way is broken off at its next step, and the reason is told', async () => {
    const { driver, operations, runner, create } = await volumeBench();
    await create('a');
    const release = driver.hold('a trash-directory');
    const removing = operations.run('a', 'remove', decideRemove(false));
    await expect.poll(() => driver.ran).toContain('a trash-directory');
    runner.abort();
    release();
    await expect(removing).rejects.toMatchObject({
      code: 'Cancelled',
      message: expect.stringContaining('the agent is stopping') as string,
    });
    expect(driver.ran).not.toContain('a delete-trash');
  });
});
