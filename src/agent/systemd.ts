import type { Engine } from '../engine/index.ts';
import { sdNotify } from '../../native/index.ts';
import { systemClock } from '../base/clock.ts';
import type { Service } from './service.ts';

/** An engine read that takes longer than this is no sign of life. */
const PROBE_DEADLINE_MS = 2_000;
/** A loop that stood still this long between two pings didn't earn the ping. */
const LOOP_DELAY_MAX_MS = 5_000;
/** How often the loop shows that it turns: a fifth of that, so that idle stays idle. */
const LOOP_TICK_MS = 1_000;

/** Until a ping that wasn't earned is tried for again. */
const RETRY_MS = 1_000;

/**
 * What we say to systemd (sd_notify(3)); silent when nobody listens. A notify socket that is gone is
 * told once to the caller and never stops the agent.
 */
export class Notifier {
  readonly #socket: string | undefined;

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.#socket = env['NOTIFY_SOCKET'];
  }

  /** @returns the error when systemd could not be told. */
  send(message: string): Error | undefined {
    if (this.#socket === undefined || this.#socket === '') return undefined;
    try {
      sdNotify(this.#socket, message);
      return undefined;
    } catch (thrown) {
      return thrown as Error;
    }
  }
}

/** Half the interval systemd asks for, in ms (sd_watchdog_enabled(3)); undefined when it asks for none. */
export function watchdogPeriodMs(
  env: NodeJS.ProcessEnv = process.env,
  pid = process.pid,
): number | undefined {
  const intervalUs = Number(env['WATCHDOG_USEC']);
  const forPid = env['WATCHDOG_PID'];
  if (!Number.isFinite(intervalUs) || intervalUs <= 0) return undefined;
  if (forPid !== undefined && forPid !== '' && Number(forPid) !== pid) return undefined;
  return intervalUs / 1000 / 2;
}

/**
 * The watchdog ping is earned: the event loop turned and the engine answered a read since the last
 * one. What is merely degraded (a stuck mount, an offline target) goes on being pinged for: a restart
 * wouldn't mend it. The probe reads only, so that an idle host stays idle.
 */
export function watchdog(engine: Engine, notifier: Notifier, periodMs: number): Service {
  return {
    id: 'watchdog',
    async run(signal) {
      const loop = new LoopGap();
      const ticking = setInterval(() => loop.tick(), LOOP_TICK_MS);
      try {
        while (!signal.aborted) {
          const answered = await answersInTime(engine.get('host/identity'), PROBE_DEADLINE_MS);
          const turned = loop.takeLongestMs() < LOOP_DELAY_MAX_MS;
          const earned = answered && turned;
          if (earned) notifier.send('WATCHDOG=1');
          // Half of the interval is gone by now: one stall (a slow card) must not use up the other half.
          await systemClock.sleep(earned ? periodMs : Math.min(periodMs, RETRY_MS), signal);
        }
      } finally {
        clearInterval(ticking);
      }
    },
  };
}

/**
 * The longest time between two turns of the event loop that somebody saw. Not perf_hooks' histogram: its
 * reset forgets a stall that it hasn't recorded yet.
 */
class LoopGap {
  #lastMs = systemClock.monoMs();
  #longestMs = 0;

  tick(): void {
    const nowMs = systemClock.monoMs();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  /** Since the last call. */
  takeLongestMs(): number {
    this.tick();
    const longestMs = this.#longestMs;
    this.#longestMs = 0;
    return longestMs;
  }
}

/** True when `work` resolves before the deadline; its failure or lateness is false, never a throw. */
export async function answersInTime(work: Promise<unknown>, deadlineMs: number): Promise<boolean> {
  const late = new AbortController();
  try {
    return await Promise.race([
      work.then(() => true),
      systemClock.sleep(deadlineMs, late.signal).then(() => false),
    ]);
  } catch {
    return false;
  } finally {
    late.abort();
  }
}
