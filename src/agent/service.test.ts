/** Goal: a failing service is restarted alone and with growing waits; stopping waits for its end. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../base/clock.ts';
import { ServiceRunner, type Service } from './service.ts';

const log = pino({ level: 'silent' });

/** Sleeps take no time but a turn of the loop; what was asked for is kept. */
class FakeClock implements Clock {
  readonly sleeps: number[] = [];
  #nowMs = 0;

  wallMs(): number {
    return this.#nowMs;
  }

  monoMs(): number {
    return this.#nowMs;
  }

  async sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    this.#nowMs += ms;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
}

describe('ServiceRunner', () => {
  it('restarts what fails until it holds, and counts', async () => {
    const clock = new FakeClock();
    const runner = new ServiceRunner(log, clock);
    let starts = 0;
    let holds = (): void => undefined;
    const held = new Promise<void>((resolve) => (holds = resolve));
    const flaky: Service = {
      id: 'flaky',
      async run(signal) {
        starts += 1;
        if (starts < 4) throw new Error(`failure ${starts}`);
        holds();
        await untilAborted(signal);
      },
    };
    runner.start(flaky);
    await held;
    expect(runner.health()).toEqual([
      { id: 'flaky', running: true, restarts: 3, lastError: 'failure 3' },
    ]);
    expect(clock.sleeps).toHaveLength(3);
    await runner.stopAll();
    expect(runner.health()).toEqual([]);
  });

  it('takes an unasked end for a failure', async () => {
    const runner = new ServiceRunner(log, new FakeClock());
    let starts = 0;
    let again = (): void => undefined;
    const restarted = new Promise<void>((resolve) => (again = resolve));
    runner.start({
      id: 'short',
      async run(signal) {
        starts += 1;
        if (starts === 1) return;
        again();
        await untilAborted(signal);
      },
    });
    await restarted;
    expect(runner.health()[0]?.restarts).toBe(1);
    await runner.stopAll();
  });

  it('starts nothing once all were stopped', async () => {
    const runner = new ServiceRunner(log, new FakeClock());
    await runner.stopAll();
    runner.start({ id: 'late', run: () => Promise.reject(new Error('was started')) });
    expect(runner.health()).toEqual([]);
  });

  it('waits for a service to end when stopping it', async () => {
    const runner = new ServiceRunner(log, new FakeClock());
    let ended = false;
    runner.start({
      id: 'slow',
      async run(signal) {
        await untilAborted(signal);
        await new Promise((resolve) => setImmediate(resolve));
        ended = true;
      },
    });
    await runner.stop('slow');
    expect(ended).toBe(true);
  });
});
