import type { Command } from 'commander';
import type { SyncBody, SyncReply } from '../faces/agent-api/schema.ts';
import { verb } from './context.ts';
import { printJson, printTable, say } from './output.ts';

export function addSyncVerbs(root: Command): void {
  root
    .command('sync')
    .description('replication to remote stores')
    .command('status')
    .description('per target: state, cursor, what is pending, the last error')
    .action(
      verb(async ({ client, format }) => {
        const { targets } = await client.json<SyncReply>('/agent/v1/sync');
        if (format === 'json') return printJson(targets);
        if (targets.length === 0)
          return say('no sync target is configured (sync.targets in config.yaml)');
        printTable(
          ['TARGET', 'TYPE', 'STATE', 'CURSOR', 'BEHIND', 'LAST ACK', 'PARKED', 'LAST ERROR'],
          targets.map(row),
        );
      }),
    );
}

function row(status: SyncBody): string[] {
  return [
    status.target,
    status.type,
    status.state,
    `${status.cursor}/${status.localRevision}`,
    String(status.lagRevisions),
    status.lastAckAt ?? 'never',
    String(status.parked),
    status.lastError ? `${status.lastError.code}: ${status.lastError.message}` : '-',
  ];
}
