import { HoldfastError } from '../../../base/errors.ts';
import type { Agent, AgentEvent } from '../../agent.ts';
import { EventsQuery, EventsReply } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** Events of one page when the caller doesn't say. */
const EVENTS_DEFAULT = 100;
/** Requests that wait for an event, each with a watch in the engine. */
const WAITS_MAX = 64;

/** events: what happened. With `waitSeconds` the answer waits until something does. */
export function eventRoutes(app: ApiInstance, agent: Agent, stopping: AbortSignal): void {
  let waits = 0;
  app.get(
    '/events',
    { schema: { querystring: EventsQuery, response: { 200: EventsReply } } },
    async (request) => {
      const { after = 0, limit = EVENTS_DEFAULT, waitSeconds } = request.query;
      const look = (): Promise<readonly AgentEvent[]> => agent.events.after(after, limit);
      const reply = async (events: readonly AgentEvent[]) => ({
        events: [...events],
        last: await agent.events.last(),
      });
      if (waitSeconds === undefined) return reply(await look());
      if (waits >= WAITS_MAX) {
        const message = `${waits} requests wait for an event, the most this agent serves`;
        throw new HoldfastError('Unavailable', message, { hint: 'ask without waitSeconds' });
      }
      waits += 1;
      try {
        return reply(await firstOf(agent, look, waitSeconds * 1000, [stopping, request.signal]));
      } finally {
        waits -= 1;
      }
    },
  );
}

/** What `look` sees now, or else after the next event; empty when there is none in time. */
async function firstOf(
  { engine }: Agent,
  look: () => Promise<readonly AgentEvent[]>,
  waitMs: number,
  signals: readonly AbortSignal[],
): Promise<readonly AgentEvent[]> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  for (const signal of signals) signal.addEventListener('abort', end, { signal: ended.signal });
  const timer = setTimeout(end, waitMs);
  // Begun before the look: an event between the two is not missed.
  const changes = engine.watch('events', { signal: ended.signal })[Symbol.asyncIterator]();
  try {
    const events = await look();
    if (events.length > 0 || signals.some(({ aborted }) => aborted)) return events;
    await changes.next();
    return await look();
  } finally {
    clearTimeout(timer);
    end();
    await changes.return?.();
  }
}
