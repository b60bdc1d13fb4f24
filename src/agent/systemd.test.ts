/**
 * Goal: systemd hears from us what is true: the watchdog ping is earned, and a notify socket that is
 * gone stops nothing. Method: a real datagram socket; the real engine, stopped for the bad cases.
 */
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { NotifySocket } from '../../test/support/notify-socket.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { answersInTime, Notifier, watchdog, watchdogPeriodMs } from './systemd.ts';

const PERIOD_MS = 20;
/** Longer than the loop may stand still (5 s) between two pings. */
const STALL_MS = 5_500;
const WAIT = { timeout: 20_000, interval: 20 };

async function openSocket(): Promise<NotifySocket> {
  const socket = await NotifySocket.open(tempDir('notify'));
  onTestFinished(() => socket[Symbol.asyncDispose]());
  return socket;
}

/** Runs a watchdog over `get` until `enough`; resolves to the pings and probes there were. */
async function watch(get: Engine['get'], enough: (probes: number) => Promise<void>) {
  const socket = await openSocket();
  let probes = 0;
  const engine = { get: (key: string) => ((probes += 1), get(key)) } as Engine;
  const controller = new AbortController();
  const notifier = new Notifier({ NOTIFY_SOCKET: socket.path });
  const running = watchdog(engine, notifier, PERIOD_MS).run(controller.signal);
  await vi.waitFor(() => expect(probes).toBeGreaterThan(1), WAIT);
  await enough(probes);
  controller.abort();
  await running;
  // The last word: what came before it has been received.
  notifier.send('STOPPING=1');
  await socket.waitFor('STOPPING=1');
  const pings = socket.messages.filter((message) => message === 'WATCHDOG=1').length;
  return { pings, probes };
}

describe('watchdog', () => {
  it('pings after every answer of the engine', async () => {
    const engine = await openEngine({ backend: 'memory', path: '/none' });
    const { pings, probes } = await watch(
      (key) => engine.get(key),
      async () => undefined,
    );
    expect(pings).toBe(probes);
    expect(engine.revision).toBe(0);
    await engine.close();
  });

  it('does not ping while the engine gives no answer', async () => {
    const { pings, probes } = await watch(
      () => new Promise(() => undefined),
      async () => undefined,
    );
    expect(probes).toBeGreaterThan(1);
    expect(pings).toBe(0);
  });

  it('does not ping while the engine fails', async () => {
    const broken = (): Promise<never> => Promise.reject(new Error('the disk is gone'));
    expect((await watch(broken, async () => undefined)).pings).toBe(0);
  });

  it('does not ping for a time in which the loop stood still', async () => {
    let calls = 0;
    const answering = async (): Promise<undefined> => void (calls += 1);
    const { pings, probes } = await watch(answering, async () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
      const before = calls;
      await vi.waitFor(() => expect(calls).toBeGreaterThan(before + 3), WAIT);
    });
    expect(probes - pings).toBe(1);
  });
});

describe('watchdogPeriodMs', () => {
  it.each<[NodeJS.ProcessEnv, number | undefined]>([
    [{}, undefined],
    [{ WATCHDOG_USEC: '60000000' }, 30_000],
    [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 30_000],
    [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, undefined],
    [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '' }, 30_000],
    [{ WATCHDOG_USEC: '0' }, undefined],
    [{ WATCHDOG_USEC: 'often' }, undefined],
  ])('%j', (env, periodMs) => expect(watchdogPeriodMs(env, 7)).toBe(periodMs));
});

describe('Notifier', () => {
  it('says it as one datagram', async () => {
    const socket = await openSocket();
    expect(new Notifier({ NOTIFY_SOCKET: socket.path }).send('READY=1\nSTATUS=ready')).toBe(
      undefined,
    );
    await socket.waitFor('READY=1');
    expect(socket.messages).toEqual(['READY=1\nSTATUS=ready']);
  });

  it('is silent when nobody listens, and returns the error when the socket is gone', () => {
    expect(new Notifier({}).send('READY=1')).toBe(undefined);
    expect(new Notifier({ NOTIFY_SOCKET: '' }).send('READY=1')).toBe(undefined);
    const gone = new Notifier({ NOTIFY_SOCKET: join(tempDir('notify'), 'gone') });
    expect(gone.send('READY=1')).toMatchObject({ code: 'ENOENT' });
  });
});

describe('answersInTime', () => {
  it('is false for what is late or fails, and never throws', async () => {
    expect(await answersInTime(Promise.resolve(1), 1_000)).toBe(true);
    expect(await answersInTime(Promise.reject(new Error('no')), 1_000)).toBe(false);
    expect(await answersInTime(new Promise(() => undefined), 10)).toBe(false);
  });
});
