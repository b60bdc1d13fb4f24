/** Goal: one operation at a time per volume and in order, other volumes pass, what waited too long never begins, what fails is rolled back or stuck, and closing begins nothing. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { HoldfastError } from '../base/errors.ts';
import { openEngine } from '../engine/index.ts';
import { decideMount, decideRemove } from './decide.ts';
import type { Driver, Observation, StepContext } from './drivers/driver.ts';
import { Journal } from './journal.ts';
import { LinuxHostOps } from './linux-hostops.ts';
import { Operations } from './operations.ts';
import type { Step } from './planner.ts';
import { Records } from './records.ts';
import { OPERATION_DEADLINE_MS, Runner } from './runner.ts';
import { Services } from './services.ts';
import type { DriverName, Volume } from './volume.ts';

/** Longer than any operation is waited for. */
const AGES_MS = 60 * 60_000;

/** A driver whose steps hang, fail, or are done at once, as the test says. */
class ScriptedDriver implements Driver {
  readonly name = 'dir';
  readonly privileged = new Set<never>();
  /** `<volume name> <step>`, as they began. */
  readonly ran: string[] = [];
  readonly #script = new Map<string, () => Promise<void>>();

  on(what: string, work: () => Promise<void>): void {
    this.#script.set(what, work);
  }

  /** @returns lets it go on */
  hold(what: string): () => void {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    this.on(what, () => held);
    return () => {
      this.#script.delete(what);
      release();
    };
  }

  fail(what: string): void {
    this.on(what, () => Promise.reject(new HoldfastError('HostFailed', `${what} failed`)));
  }

  works(what: string): void {
    this.#script.delete(what);
  }

  checkRoom(): Promise<void> {
    return Promise.resolve();
  }

  observe(): Promise<Observation> {
    return Promise.resolve({ path: '/d/x', present: true, devices: [], otherMounts: [] });
  }

  async run(step: Step, { volume }: StepContext): Promise<void> {
    const what = `${volume.spec.name} ${step}`;
    this.ran.push(what);
    await this.#script.get(what)?.();
  }
}

async function bench(kind: DriverName = 'dir') {
  const engine = await openEngine({ backend: 'memory', path: '' });
  onTestFinished(() => engine.close());
  const clock = new FakeClock();
  const service = { name: 's', driver: kind, path: '/d' };
  const driver = new ScriptedDriver();
  const drivers = { dir: driver, loop: driver };
  const events: string[] = [];
  const journal = new Journal(engine);
  const runner = new Runner({
    journal,
    drivers,
    clock,
    bootId: 'b',
    deadlinesMs: OPERATION_DEADLINE_MS,
    onEvent: ({ type }) => events.push(type),
    onStep: () => undefined,
  });
  const records = new Records(engine);
  const operations = new Operations({
    records,
    journal,
    runner,
    drivers,
    clock,
    hostOps: new LinuxHostOps(clock),
    services: new Services([service]),
  });
  const volume = (id: string): Volume => ({
    spec: {
      id,
      name: id,
      service: 's',
      driver: kind,
      sizeBytes: 0,
      mountAtBoot: false,
      fields: {},
      createdAt: '',
    },
    status: { phase: 'creating', attachments: [] },
  });
  const create = (id: string) => operations.create(volume(id), service);
  const entries = async () => (await engine.list('journal')).kvs.length;
  return { engine, clock, driver, operations, runner, records, events, create, entries };
}

describe('order', () => {
  test('the second operation on a volume begins when the first is done; another volume passes', async () => {
    const { driver, operations, create } = await bench();
    await create('a');
    await create('b');
    const release = driver.hold('a check-directory');
    const first = operations.run('a', 'mount', decideMount);
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
    const { driver, operations, clock, create } = await bench();
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
    const { driver, operations, runner, clock, records, create } = await bench();
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
    const { driver, operations, create } = await bench();
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
    const { engine, driver, events, create, entries } = await bench();
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
    const { driver, operations, runner, records, create, entries, events } = await bench();
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
    const { driver, operations, records, create, entries } = await bench();
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
    const { driver, clock, create, entries } = await bench('loop');
    driver.on('a allocate-image', async () => clock.advance(OPERATION_DEADLINE_MS.create));
    await expect(create('a')).rejects.toMatchObject({
      code: 'DeadlineExceeded',
      message: 'create of volume "a" took more than 1800 s',
    });
    expect(driver.ran).toEqual(['a allocate-image', 'a unlink-image']);
    expect(await entries()).toBe(0);
  });

  test('one that passes in the last step changes nothing any more: it is done', async () => {
    const { driver, clock, create, entries } = await bench('loop');
    driver.on('a format', async () => clock.advance(OPERATION_DEADLINE_MS.create));
    expect((await create('a')).status.phase).toBe('ready');
    expect(await entries()).toBe(0);
  });
});

describe('closing', () => {
  test('nothing new begins, and who waits is told', async () => {
    const { driver, operations, create } = await bench();
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
    const { driver, operations, runner, create } = await bench();
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
