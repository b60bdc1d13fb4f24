/** Goal: the engine's locks and elections are the same over the agent's API: order, fences, loss, nothing left. */
import { expect, test } from 'vitest';
import { startHttpAgent, type HttpAgent } from '../../../test/support/http-agent.ts';
import { acquireLock, campaign, lockQueue, observe } from '../../engine/index.ts';
import { AgentClient } from './client.ts';
import { RemoteEngine } from './remote-engine.ts';

const NAME = 'locks/door';
const TIMEOUT_MS = 10_000;

function connect({ socket }: HttpAgent): RemoteEngine {
  return new RemoteEngine(new AgentClient(socket, TIMEOUT_MS), TIMEOUT_MS);
}

const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString();

test('one at a time, in the order they came, with rising fences', async () => {
  const agent = await startHttpAgent();
  const remote = connect(agent);
  const order: number[] = [];
  const fences: number[] = [];
  let inside = 0;
  const turns: Promise<void>[] = [];
  for (let i = 0; i < 12; i += 1) {
    const turn = acquireLock(connect(agent), NAME, { value: Buffer.from(`${i}`) });
    turns.push(
      turn.then(async (lock) => {
        inside += 1;
        expect(inside).toBe(1);
        order.push(i);
        fences.push(lock.fence);
        expect(text((await lockQueue(remote, NAME))[0]!.value)).toBe(`${i}`);
        inside -= 1;
        await lock.unlock();
      }),
    );
    await expect
      .poll(async () => (await lockQueue(remote, NAME)).length + order.length)
      .toBe(i + 1);
  }
  await Promise.all(turns);
  expect(order).toEqual([...order.keys()]);
  expect(fences).toEqual(fences.toSorted((a, b) => a - b));
  expect((await agent.engine.list('kv')).kvs).toEqual([]);
  expect(await agent.engine.leases.list()).toEqual([]);
});

test('a lock that is taken away is lost, and its value can not be set any more', async () => {
  const agent = await startHttpAgent();
  const lock = await acquireLock(connect(agent), NAME, { value: Buffer.from('a') });
  await lock.setValue(Buffer.from('b'));
  expect(text((await agent.engine.get(`kv/${lock.key}`))!.value)).toBe('b');
  await agent.engine.delete(`kv/${lock.key}`);
  await expect.poll(() => lock.lost.aborted).toBe(true);
  expect(lock.lost.reason).toMatchObject({ code: 'Conflict' });
  await expect(lock.setValue(Buffer.from('c'))).rejects.toMatchObject({ code: 'KeyModified' });
  await lock.unlock();
});

test('an observer sees each leader and each value, none missed', async () => {
  const agent = await startHttpAgent();
  const stop = new AbortController();
  const leaders = observe(connect(agent), NAME, stop.signal);
  const next = async (): Promise<string> => text((await leaders.next()).value?.value);
  expect(await next()).toBe('');
  const remote = connect(agent);
  const first = await campaign(remote, NAME, Buffer.from('a'));
  const second = campaign(remote, NAME, Buffer.from('b'));
  await first.setValue(Buffer.from('a, draining'));
  await expect.poll(async () => (await lockQueue(remote, NAME)).length).toBe(2);
  await first.unlock();
  await (await second).unlock();
  expect([await next(), await next(), await next(), await next()]).toEqual([
    'a',
    'a, draining',
    'b',
    '',
  ]);
  stop.abort();
  expect((await leaders.next()).done).toBe(true);
});

test('who gives up at any moment leaves the queue, and is not held up', async () => {
  const agent = await startHttpAgent();
  const holder = await acquireLock(connect(agent), NAME);
  for (let turns = 0; turns < 40; turns += 1) {
    const abort = new AbortController();
    const waiting = acquireLock(connect(agent), NAME, { signal: abort.signal });
    for (let i = 0; i < turns; i += 1) await new Promise(setImmediate);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'Cancelled' });
    expect(await lockQueue(connect(agent), NAME)).toHaveLength(1);
  }
  await holder.unlock();
});

test('a watch that is over before it began ends', async () => {
  const agent = await startHttpAgent();
  const watch = connect(agent).watch('a', { from: 1, signal: AbortSignal.abort() });
  expect((await watch[Symbol.asyncIterator]().next()).done).toBe(true);
});

test('a list in many pages is of one revision', async () => {
  const agent = await startHttpAgent();
  const value = Buffer.alloc(1024 * 1024);
  for (let i = 0; i < 10; i += 1) await agent.engine.put(`kv/big/${i}`, value);
  const { kvs, revision } = await connect(agent).list('big');
  expect(kvs.map(({ key }) => key)).toEqual(Array.from({ length: 10 }, (_, i) => `big/${i}`));
  expect(kvs.every((kv) => kv.value.length === value.length)).toBe(true);
  expect(revision).toBe(agent.engine.revision);
});
