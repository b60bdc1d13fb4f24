import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import type { HostExplanation, HostIdentity } from '../../devices/index.ts';
import { inspectStore } from '../../engine/index.ts';
import type { HostReply } from '../faces/agent-api/schema.ts';
import { verb, type Context } from './context.ts';
import { isAway } from './follow.ts';
import { printFields, printJson, printLines, printTable, say } from './output.ts';

/** Where the agent keeps it (fact-store.ts), and what is above that. */
const IDENTITY_KEY = 'host/identity';
const HOST_PREFIX = 'host';

export function addIdentityVerbs(root: Command): void {
  const group = root.command('identity').description('who this host is to others');
  group
    .command('show')
    .description('its replica id, and what it is bound to')
    .action(
      verb(async (context) => {
        const identity = await storedIdentity(context);
        if (context.format === 'json') return printJson(identity);
        const { replicaId, mintedAt, clonedFrom, fingerprint } = identity;
        printFields([
          ['replica', replicaId],
          ['minted at', mintedAt],
          ['cloned from', clonedFrom],
          ['product UUID', fingerprint.productUuid],
          ['board serial number', fingerprint.boardSerial],
          ['network cards', fingerprint.macs.join(' ')],
          ['root disk', fingerprint.rootDisk],
          ['machine-id (HMAC)', fingerprint.machine],
        ]);
      }),
    );
  group
    .command('explain')
    .description('is this the host of the state folder? by which facts; works with the agent down')
    .action(
      verb(async (context) => {
        const { replicaId, fingerprint } = await storedIdentity(context);
        const { explainHost } = await import('../../devices/index.ts');
        const explanation = await explainHost(fingerprint);
        if (context.format === 'json') return printJson({ replicaId, ...explanation });
        printLines('', [`replica ${replicaId}: ${MEANING[explanation.relation]}`]);
        const rows = explanation.parts.map(({ part, likeness, stored, now }) => {
          return [part, likeness, stored ?? '-', likeness === 'same' ? '' : (now ?? '-')];
        });
        printTable(['PART', 'IS', 'STORED', 'NOW'], rows);
      }),
    );
  group
    .command('adopt')
    .description('take over a state folder that was made on another host; the agent must be down')
    .action(
      verb(async ({ paths, format }) => {
        const { adoptState } = await import('../adopt.ts');
        const { identity, outcome, note } = await adoptState(paths);
        if (format === 'json') return printJson({ outcome, ...identity });
        say(note ?? `replica ${identity.replicaId} is this host's own: nothing was changed`);
      }),
    );
}

const MEANING: Readonly<Record<HostExplanation['relation'], string>> = {
  same: 'this host',
  'parts-replaced': 'this host, with parts replaced',
  'another-host':
    'another host (a cloned or moved disk): the agent does not start; see holdfast identity adopt',
  unknown: 'no fact that both sides have: taken for this host on trust',
};

/** Of the agent that runs, or else out of a private copy of its store. @throws NotFound when there never was one */
async function storedIdentity({ client, paths }: Context): Promise<HostIdentity> {
  try {
    return (await client.json<HostReply>('/agent/v1/host')).identity;
  } catch (thrown) {
    if (!(thrown instanceof HoldfastError) || !isAway(thrown)) throw thrown;
  }
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-identity-'));
  try {
    const file = join(folder, 'dump');
    const output = openSync(file, 'wx', 0o600);
    const store = { kind: 'dump', folder: join(paths.stateDir, 'engine') } as const;
    await inspectStore({ ...store, prefix: HOST_PREFIX, skip: '' }, { output }).finally(() =>
      closeSync(output),
    );
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    const records = lines.map((line) => JSON.parse(line) as { key: string; value: string });
    const value = records.find(({ key }) => key === IDENTITY_KEY)?.value;
    if (value === undefined) {
      throw new HoldfastError('NotFound', `no host identity in ${paths.stateDir} yet`);
    }
    return JSON.parse(Buffer.from(value, 'base64').toString('utf8')) as HostIdentity;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
