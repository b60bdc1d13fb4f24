/**
 * Goal: a session is durable before a target can see it, the cursor is saved rarely and only when it
 * moved, and what can't be read counts as no cursor.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { Progress } from './progress.ts';

const INTERVAL_MS = 1000;
let engine: Engine;
beforeEach(async () => {
  engine = await openEngine({ backend: 'memory', path: '' });
});
afterEach(() => engine.close());

const clock = new FakeClock();
async function loaded(): Promise<Progress> {
  const progress = new Progress(engine, 'one', clock, INTERVAL_MS);
  await progress.load();
  return progress;
}

describe('sessions', () => {
  it('are durable before anything is sent under them, and the older ones remembered', async () => {
    const progress = await loaded();
    expect(progress.cursor).toBeUndefined();
    expect(() => progress.sending(1)).toThrow('without a session');
    await progress.beginSession();
    const { session } = progress.sending(0);
    expect((await loaded()).cursor).toMatchObject({ session, revision: 0, sessions: [session] });

    progress.acknowledged(5);
    await progress.beginSession();
    expect(progress.cursor?.session).not.toBe(session);
    expect((await loaded()).cursor?.sessions).toEqual([progress.cursor?.session, session]);
  });

  it('that got nowhere are used again, so that a target that always fails costs nothing', async () => {
    const progress = await loaded();
    await progress.beginSession();
    const { revision } = engine;
    const before = progress.cursor;
    await progress.beginSession();
    expect([progress.cursor, engine.revision]).toEqual([before, revision]);
  });

  it('are remembered in bounded number', async () => {
    const progress = await loaded();
    for (let n = 0; n < 30; n++) {
      await progress.beginSession();
      progress.acknowledged(n + 1);
    }
    expect(progress.cursor?.sessions).toHaveLength(10);
    expect(progress.cursor?.sessions[0]).toBe(progress.cursor?.session);
  });

  it('that somebody else writes under are foreign from then on', async () => {
    const progress = await loaded();
    await progress.beginSession();
    const { session } = progress.sending(3);
    await progress.disown();
    const again = await loaded();
    expect(again.cursor?.sessions).not.toContain(session);
    expect(again.cursor?.revision).toBe(0);
  });
});

describe('the cursor', () => {
  it('is saved when it moved, and not before its time', async () => {
    const progress = await loaded();
    await progress.beginSession();
    expect(progress.saveDueMs).toBeUndefined();
    progress.acknowledged(4);
    expect(progress.saveDueMs).toBe(INTERVAL_MS);
    clock.advance(INTERVAL_MS - 1);
    await progress.saveIfDue();
    expect((await loaded()).cursor?.revision).toBe(0);
    clock.advance(1);
    await progress.saveIfDue();
    expect((await loaded()).cursor?.revision).toBe(4);

    const { revision } = engine;
    progress.acknowledged(4);
    await progress.saveNow();
    expect([progress.saveDueMs, engine.revision]).toEqual([undefined, revision]);
  });

  it('tells the highest revision this process has sent', async () => {
    const progress = await loaded();
    expect(progress.attempted).toBeUndefined();
    await progress.beginSession();
    progress.sending(7);
    progress.sending(5);
    expect(progress.attempted).toBe(7);
    expect((await loaded()).attempted).toBeUndefined();
  });

  it.each(['', 'null', '{"revision":1}', '[]'])('"%s" counts as none', async (value) => {
    await engine.put('sync/cursor/one', Buffer.from(value));
    expect((await loaded()).cursor).toBeUndefined();
  });
});
