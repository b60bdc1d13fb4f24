/**
 * A watch over the agent's API that outlives the agent: when it goes away (a restart, an upgrade), it is
 * waited for and the watch goes on after the last revision seen. No change is missed and none comes twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../base/backoff.ts';
import { HoldfastError, isErrorCode, toHoldfastError } from '../../base/errors.ts';
import type { ErrorBody, KvWatchLine } from '../faces/agent-api/schema.ts';
import type { AgentClient } from './client.ts';
import { withQuery } from './context.ts';

/** Between two looks for an agent that went away. */
const AGAIN_FIRST_MS = 50;
const AGAIN_MAX_MS = 1_000;
/** Of the longest silence before a connection counts as dead: two lines may be late. */
const PROGRESS_PER_TIMEOUT = 3;
/** The agent's own default. */
const PROGRESS_SECONDS_MAX = 15;

export interface FollowOptions {
  /** What to watch, in the API's words: `prefix`, `only`… */
  readonly query: Readonly<Record<string, string | number | boolean | undefined>>;
  /** First revision to see; default: the next one. */
  readonly from?: number | undefined;
  /** The store that `from` is of, when known: another one is `Compacted`. */
  readonly incarnation?: string | undefined;
  /** How long an agent that went away is waited for. */
  readonly patienceMs: number;
  /** Whether it may be away at the beginning, too. */
  readonly mayBegin: 'at once' | 'later';
  /** Told once for each time that it went away. */
  readonly onAway?: ((reason: HoldfastError) => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * The lines of the watch, until the signal aborts (then it just ends).
 * @throws Compacted, and what keeps it from going on: with a hint where to go on from
 */
export async function* follow(
  client: AgentClient,
  options: FollowOptions,
): AsyncGenerator<KvWatchLine> {
  const { signal, patienceMs } = options;
  const backoff = new Backoff(AGAIN_FIRST_MS, AGAIN_MAX_MS);
  let { from, incarnation } = options;
  let awayMs = options.mayBegin === 'later' ? performance.now() : undefined;
  let connected = false;
  for (;;) {
    const query = { ...options.query, from, incarnation, progressSeconds: progressOf(client) };
    try {
      for await (const line of watchLines(client, query, signal)) {
        incarnation ??= line.incarnation;
        // A watch from a revision to come is told of earlier ones: nothing of it was missed.
        from = Math.max(from ?? 1, line.revision + 1);
        connected = true;
        awayMs = undefined;
        backoff.reset();
        yield line;
      }
      if (signal.aborted) return;
      throw new HoldfastError('Unavailable', 'the agent ended the watch');
    } catch (thrown) {
      if (signal.aborted) return;
      const reason = toHoldfastError(thrown);
      if (connected && awayMs === undefined && isAway(reason)) {
        awayMs = performance.now();
        options.onAway?.(reason);
      }
      const spent = awayMs === undefined || performance.now() - awayMs >= patienceMs;
      if (spent || !isAway(reason)) throw withPlace(reason, from);
    }
    await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
  }
}

async function* watchLines(
  client: AgentClient,
  query: FollowOptions['query'],
  signal: AbortSignal,
): AsyncGenerator<KvWatchLine> {
  for await (const text of client.lines(withQuery('/agent/v1/kv/watch', query), signal)) {
    const line = JSON.parse(text) as KvWatchLine | ErrorBody;
    if (!('code' in line)) yield line;
    else {
      const code = isErrorCode(line.code) ? line.code : 'Internal';
      throw new HoldfastError(code, line.message, { hint: line.hint, retry: line.retry });
    }
  }
}

function progressOf({ timeoutMs }: AgentClient): number {
  const seconds = Math.floor(timeoutMs / 1000 / PROGRESS_PER_TIMEOUT);
  return Math.max(1, Math.min(PROGRESS_SECONDS_MAX, seconds));
}

/** It stopped, is starting, was killed, or hangs: all of which may pass. */
export function isAway({ code }: HoldfastError): boolean {
  return code === 'AgentNotRunning' || code === 'Unavailable' || code === 'DeadlineExceeded';
}

function withPlace(reason: HoldfastError, from: number | undefined): HoldfastError {
  if (from === undefined || reason.code === 'Compacted') return reason;
  const { code, message, retry } = reason;
  const hint = `nothing was missed before revision ${from}: go on with --from ${from}`;
  return new HoldfastError(code, message, { hint, retry, cause: reason });
}
