import type { Command } from 'commander';
import type { StatusReply } from '../faces/agent-api/schema.ts';
import { verb } from './context.ts';
import { printFields, printJson } from './output.ts';

export function addStatusVerb(root: Command): void {
  root
    .command('status')
    .description('is it well? the agent, its volumes, devices and sync targets')
    .action(
      verb(async ({ client, format }) => {
        const status = await client.json<StatusReply>('/agent/v1/status');
        if (format === 'json') return printJson(status);
        printFields([
          ['state', `${status.state} since ${status.since}`],
          ...status.reasons.map((reason) => ['because', reason] as const),
          ['host', `${status.hostname} (${status.replicaId})`],
          ['agent', `version ${status.version}, pid ${status.pid}, epoch ${status.epoch}`],
          ['engine', `${status.engine.backend}, revision ${status.engine.revision}`],
          [
            'volumes',
            `${status.volumes.total} (${status.volumes.mounted} mounted, ${status.volumes.failed} failed)`,
          ],
          ['devices', `${status.devices.present} present, ${status.devices.absent} absent`],
          ...status.sync.map(
            (target) =>
              [
                `sync ${target.target}`,
                `${target.state}, ${target.lagRevisions} revisions behind`,
              ] as const,
          ),
          [
            'mqtt',
            status.mqtt && [status.mqtt.state, status.mqtt.lastError].filter(Boolean).join(': '),
          ],
          ...status.components
            .filter((one) => !one.running || one.restarts > 0)
            .map(
              (one) =>
                [
                  `component ${one.id}`,
                  `${one.restarts} restarts: ${one.lastError ?? ''}`,
                ] as const,
            ),
        ]);
      }),
    );
}
