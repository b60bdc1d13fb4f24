/** Goal: how much there is, and what is kept for whom, is told; history goes as asked, and no further than it may. */
import { expect, test } from 'vitest';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { callJson } from '../../../../test/support/http-call.ts';
import type { CompactReply, ErrorBody, KvStatsReply } from './schema.ts';

const STATS = { path: '/agent/v1/kv/stats' };

function compact(socket: string, json: unknown) {
  const path = '/agent/v1/kv/compact';
  return callJson<CompactReply & Partial<ErrorBody>>(socket, { method: 'POST', path, json });
}

test('the store in numbers', async () => {
  const { socket, engine } = await startHttpAgent();
  await engine.put('kv/a', Buffer.from('1'));
  const { json } = await callJson<KvStatsReply>(socket, STATS);
  expect(json).toMatchObject({
    backend: 'memory',
    incarnation: engine.incarnation,
    revision: engine.revision,
    compactedRevision: 0,
    logEntries: engine.revision,
    holds: [],
    refusesPuts: false,
  });
  expect(json.logBytes).toBeGreaterThan(0);
  expect(json).not.toHaveProperty('heldBy');
});

test('history is dropped up to where somebody still has to read it, and over that when told so', async () => {
  const { socket, engine } = await startHttpAgent();
  for (let i = 0; i < 5; i += 1) await engine.put('kv/a', Buffer.from(`${i}`));
  const { revision } = engine;
  const heldBy = { name: 'sync/main', revision: revision - 3 };
  engine.hold(heldBy.name, heldBy.revision);
  expect((await callJson<KvStatsReply>(socket, STATS)).json.holds).toEqual([heldBy]);
  const held = await compact(socket, { revision });
  expect(held.json).toEqual({ revision, compactedRevision: heldBy.revision, heldBy });
  const over = await compact(socket, { revision, overHolds: true });
  expect(over.json).toEqual({ revision, compactedRevision: revision });
});

test.each([
  [{}, 'body must have "revision"'],
  [{ revision: -1 }, '"revision" must be >= 0'],
  [{ revision: 999_999 }, 'the last one is'],
  [{ revision: 1, force: true }, 'unknown property "force"'],
])('%j is refused', async (json, words) => {
  const { socket, engine } = await startHttpAgent();
  const answer = await compact(socket, json);
  expect(answer).toMatchObject({ status: 400, json: { code: 'InvalidArgument' } });
  expect(answer.json.message).toContain(words);
  expect((await engine.stats()).compactedRevision).toBe(0);
});
