import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { Backoff } from '../../base/backoff.ts';
import { HoldfastError, toHoldfastError } from '../../base/errors.ts';
import type { EventBody, EventsReply } from '../faces/agent-api/schema.ts';
import type { AgentClient } from './client.ts';
import { verb, withQuery } from './context.ts';
import { isAway } from './follow.ts';
import { printLines, say } from './output.ts';

/** Between two looks for an agent that went away. */
const AGAIN_FIRST_MS = 50;
const AGAIN_MAX_MS = 1_000;
/** Of the deadline of a call: the answer has to be back before it passes. */
const WAITS_PER_TIMEOUT = 2;
const WAIT_SECONDS_MAX = 30;

export function addWatchVerb(group: Command): void {
  group
    .command('watch')
    .description(
      'what happens to devices from now on, until Ctrl-C; outlives a restart of the agent',
    )
    .action(
      verb(async ({ client, format }) => {
        const stop = new AbortController();
        const abort = (): void => stop.abort();
        process.once('SIGINT', abort).once('SIGTERM', abort);
        for await (const event of deviceEvents(client, stop.signal)) {
          if (format === 'json') process.stdout.write(`${JSON.stringify(event)}\n`);
          else printLines('', [`${event.at.slice(0, 19).replace('T', ' ')}  ${event.message}`]);
        }
      }),
    );
}

/** From now on, each once, in order. @throws what asking does, once the agent was away for longer than a call may take */
async function* deviceEvents(client: AgentClient, signal: AbortSignal): AsyncGenerator<EventBody> {
  const backoff = new Backoff(AGAIN_FIRST_MS, AGAIN_MAX_MS);
  const waitSeconds = waitSecondsOf(client);
  let { last } = await client.json<EventsReply>(withQuery('/agent/v1/events', { limit: 1 }));
  let awaySinceMs: number | undefined;
  while (!signal.aborted) {
    try {
      const query = withQuery('/agent/v1/events', { after: last, waitSeconds });
      const reply = await client.json<EventsReply>(query, { signal });
      awaySinceMs = undefined;
      backoff.reset();
      yield* reply.events.filter(({ type }) => type.startsWith('device.'));
      // A store that was put back from a backup counts from an earlier number.
      last = reply.events.at(-1)?.seq ?? Math.min(last, reply.last);
    } catch (thrown) {
      if (signal.aborted) return;
      const reason = toHoldfastError(thrown);
      if (awaySinceMs === undefined && isAway(reason))
        say(`waiting for the agent: ${reason.message}`);
      awaySinceMs ??= performance.now();
      if (!isAway(reason) || performance.now() - awaySinceMs > client.timeoutMs) throw reason;
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
    }
  }
}

function waitSecondsOf({ timeoutMs }: AgentClient): number {
  const seconds = Math.floor(timeoutMs / 1000 / WAITS_PER_TIMEOUT);
  if (seconds >= 1) return Math.min(WAIT_SECONDS_MAX, seconds);
  throw new HoldfastError('InvalidArgument', '--timeout must be 2 seconds or more to watch');
}
