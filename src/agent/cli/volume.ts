import type { Command } from 'commander';
import { formatBytes, parseBytes } from '../../base/bytes.ts';
import { HoldfastError } from '../../base/errors.ts';
import type { CreateVolumeRequest, VolumeBody, VolumesReply } from '../faces/agent-api/schema.ts';
import { verb, withQuery } from './context.ts';
import { printable, printFields, printJson, printTable, say } from './output.ts';

interface CreateOptions {
  readonly service?: string;
  readonly size?: string;
  readonly fs?: string;
  readonly preallocate?: boolean;
  readonly mountAtBoot?: boolean;
  readonly mount?: boolean;
}

export function addVolumeVerbs(root: Command): void {
  const group = root.command('volume').description('volumes of this host');
  group
    .command('ls')
    .description('list volumes')
    .option('--service <name>', 'only those of one service')
    .action(
      verb(async ({ client, format }, options: { service?: string }) => {
        const { service } = options;
        const { volumes } = await client.json<VolumesReply>(
          withQuery('/agent/v1/volumes', { service }),
        );
        if (format === 'json') return printJson(volumes);
        printTable(
          ['NAME', 'SERVICE', 'SIZE', 'FS', 'STATE', 'MOUNT POINT', 'ID'],
          volumes.map(row),
        );
      }),
    );
  addCreate(group);
  group
    .command('inspect <volume>')
    .description('all about one volume (id or name)')
    .action(
      verb(async ({ client, format }, ref: string) =>
        show(await client.json<VolumeBody>(pathOf(ref)), format),
      ),
    );
  for (const action of ['mount', 'unmount'] as const) {
    group
      .command(`${action} <volume>`)
      .description(`${action} a volume; fine if it is so already`)
      .action(
        verb(async ({ client, format }, ref: string) => {
          const volume = await client.send<VolumeBody>(`${pathOf(ref)}/${action}`, 'POST');
          if (format === 'json') return printJson(volume);
          if (volume.status.mountPoint !== undefined)
            process.stdout.write(`${volume.status.mountPoint}\n`);
        }),
      );
  }
  addRemove(group);
}

function addCreate(group: Command): void {
  group
    .command('create <name>')
    .description('make a volume')
    .option('--service <name>', 'volume service; default: the first configured')
    .option('--size <size>', 'e.g. 512MiB, 10G (powers of two)')
    .option('--fs <type>', 'file system: ext4 or xfs')
    .option('--preallocate', 'allocate all blocks now instead of a sparse image')
    .option('--mount-at-boot', 'mount it whenever the agent starts')
    .option('--mount', 'mount it now')
    .action(
      verb(async ({ client, format }, name: string, options: CreateOptions) => {
        const request: CreateVolumeRequest = {
          name,
          service: options.service,
          sizeBytes: options.size === undefined ? undefined : sizeOf(options.size),
          fsType: options.fs,
          preallocate: options.preallocate,
          mountAtBoot: options.mountAtBoot,
        };
        let volume = await client.send<VolumeBody>('/agent/v1/volumes', 'POST', request);
        if (volume.spec.driver === 'dir' && volume.spec.sizeBytes > 0) {
          say('note: the size of a directory is not enforced');
        }
        if (options.mount)
          volume = await client.send<VolumeBody>(`${pathOf(volume.spec.id)}/mount`, 'POST');
        show(volume, format);
      }),
    );
}

function addRemove(group: Command): void {
  group
    .command('rm <volume>')
    .description('remove a volume and its data; refused while mounted or attached')
    .option('--force', 'also when it is attached, or its data is not there')
    .option('--dry-run', 'only say what would be removed')
    .action(
      verb(
        async ({ client, format }, ref: string, options: { force?: boolean; dryRun?: boolean }) => {
          if (options.dryRun) {
            const volume = await client.json<VolumeBody>(pathOf(ref));
            say('would remove, with its data:');
            return show(volume, format);
          }
          await client.send(withQuery(pathOf(ref), { force: options.force }), 'DELETE');
        },
      ),
    );
}

function pathOf(ref: string): string {
  return `/agent/v1/volumes/${encodeURIComponent(ref)}`;
}

function sizeOf(text: string): number {
  const bytes = parseBytes(text);
  if (bytes !== undefined) return bytes;
  throw new HoldfastError('InvalidArgument', `--size ${text} is not a size`, {
    hint: 'write e.g. 512MiB or 10G',
  });
}

function row({ spec, status }: VolumeBody): string[] {
  return [
    printable(spec.name),
    spec.service,
    spec.sizeBytes === 0 ? '-' : formatBytes(spec.sizeBytes),
    spec.fsType ?? '-',
    stateOf(status),
    status.mountPoint ?? '-',
    spec.id,
  ];
}

function stateOf(status: VolumeBody['status']): string {
  const { condition } = status;
  return condition ? `${placeOf(status)} (${condition.code})` : placeOf(status);
}

function placeOf(status: VolumeBody['status']): string {
  if (status.phase !== 'ready') return status.phase;
  if (status.mountPoint !== undefined) return 'mounted';
  return status.attachments.length > 0 ? 'attached' : 'ready';
}

function show(volume: VolumeBody, format: 'table' | 'json'): void {
  if (format === 'json') return printJson(volume);
  const { spec, status } = volume;
  printFields([
    ['name', spec.name],
    ['id', spec.id],
    ['service', `${spec.service} (${spec.driver})`],
    ['size', spec.sizeBytes === 0 ? undefined : formatBytes(spec.sizeBytes)],
    ['file system', spec.fsType && `${spec.fsType} ${status.fsUuid ?? ''}`],
    ['mount at boot', spec.mountAtBoot ? 'yes' : 'no'],
    ['created', spec.createdAt],
    ['state', stateOf(status)],
    ['device', status.device],
    ['mount point', status.mountPoint],
    ...status.attachments.map(
      (one) => ['attached to', `${one.instanceId} as ${one.deviceName}`] as const,
    ),
    ['condition', status.condition && `${status.condition.code}: ${status.condition.message}`],
  ]);
}
