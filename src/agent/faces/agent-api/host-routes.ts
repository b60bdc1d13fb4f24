import type { Agent } from '../../agent.ts';
import { HostReply, NoQuery } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** host: what this machine is. */
export function hostRoutes(app: ApiInstance, agent: Agent): void {
  app.get(
    '/host',
    { schema: { querystring: NoQuery, response: { 200: HostReply } } },
    async () => ({
      identity: agent.identity,
      facts: agent.hostFacts,
    }),
  );
}
