/**
 * Goal: files of the store that are deleted or replaced under the running agent are noticed and told (log,
 * status, doctor, events), nothing is refused, and what the agent still has can be taken out of it: dump,
 * backup, check. A backup of such a store can be restored.
 */
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/agent/doctor.ts';
import type {
  EventsReply,
  KvListReply,
  StatusReply,
} from '../../src/agent/faces/agent-api/schema.ts';
import type { CheckReport } from '../../src/engine/index.ts';
import { STORE_FILE } from '../crash/store-files.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const KEYS = 50;

const DAMAGES: ReadonlyArray<[string, string, (file: string) => void]> = [
  ['deleted', 'was deleted or moved', (file) => rmSync(file)],
  [
    'replaced',
    'was replaced by another file',
    (file) => {
      copyFileSync(file, `${file}.other`);
      renameSync(`${file}.other`, file);
    },
  ],
];

describe.each(['sqlite', 'lmdb'] as const)('%s', (backend) => {
  it.each(DAMAGES)(
    '%s: told, and all of it can still be taken out',
    async (_, what, damage) => {
      const config = `engine: { backend: ${backend} }\ndevices: { rescanSeconds: 5 }\n`;
      await using agent = await AgentProcess.start({ config });
      for (let i = 0; i < KEYS; i += 1) {
        await agent.call('PUT', `/agent/v1/kv?key=app/k${i}`, { value: `v${i}` });
      }
      const file = path.join(agent.stateDir, 'engine', STORE_FILE[backend]);
      damage(file);
      const wal = `${file}-wal`;
      if (existsSync(wal)) rmSync(wal);

      const now = async (): Promise<StatusReply> =>
        (await agent.call('GET', '/agent/v1/status')).json as StatusReply;
      await agent.child.waitUntil('it says so', async () => (await now()).state === 'degraded');
      const { reasons } = await now();
      expect(reasons).toEqual([expect.stringContaining(`${file} ${what} while it is in use`)]);
      expect(reasons[0]).toContain('holdfast kv backup');
      const told = async (): Promise<EventsReply['events']> => {
        const { json } = await agent.call('GET', '/agent/v1/events?limit=1000');
        return (json as EventsReply).events.filter(({ type }) => type === 'store.files-lost');
      };
      await agent.child.waitUntil('it is an event', async () => (await told()).length > 0);
      expect(await told()).toEqual([expect.objectContaining({ message: reasons[0] })]);
      const doctor = JSON.parse((await agent.cli('doctor', '-o', 'json')).stdout) as Finding[];
      expect(doctor).toContainEqual({ check: 'agent', verdict: 'bad', finding: reasons[0] });

      // It refuses nothing.
      const late = await agent.call('PUT', '/agent/v1/kv?key=app/late', { value: 'late' });
      expect(late.status).toBe(200);
      const online = (await agent.cli('kv', 'dump')).stdout;
      expect(online.split('\n').filter(Boolean)).toHaveLength(KEYS + 1);
      expect((await agent.cli('kv', 'dump', '--offline')).stdout).toBe(online);
      expect(await agent.json<CheckReport>('kv', 'check')).toMatchObject({
        errors: 0,
        warnings: 0,
      });
      const saved = path.join(tempDir('saved'), 'backup');
      expect(await agent.cli('kv', 'backup', saved)).toMatchObject({ code: 0 });
      await agent.kill();

      await using other = new AgentProcess({ config });
      expect(await other.cli('kv', 'restore-store', saved)).toMatchObject({ code: 0 });
      await other.start();
      const kept = await other.call('GET', '/agent/v1/kv/list?prefix=app');
      expect((kept.json as KvListReply).kvs).toHaveLength(KEYS + 1);
    },
    120_000,
  );
});
