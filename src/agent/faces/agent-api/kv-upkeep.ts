import type { Agent } from '../../agent.ts';
import { CompactReply, CompactRequest, KvStatsReply, NoQuery } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';

/** The store as a whole: how much there is, and the low end of its history. */
export function kvUpkeepRoutes(app: ApiInstance, { engine }: Agent): void {
  app.get(
    '/kv/stats',
    { schema: { querystring: NoQuery, response: { 200: KvStatsReply } } },
    async () => {
      const { holds, ...stats } = await engine.stats();
      return { ...stats, holds: [...holds], incarnation: engine.incarnation };
    },
  );
  app.post(
    '/kv/compact',
    { schema: { querystring: NoQuery, body: CompactRequest, response: { 200: CompactReply } } },
    async (request) => {
      const { revision, overHolds } = request.body;
      const compaction = await engine.compact(revision, { overHolds });
      return { revision: engine.revision, ...compaction };
    },
  );
}
