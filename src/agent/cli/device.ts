import type { Command } from 'commander';
import { formatBytes } from '../../base/bytes.ts';
import type { DeviceBody, DevicesReply } from '../faces/agent-api/schema.ts';
import { verb } from './context.ts';
import { printable, printFields, printJson, printTable } from './output.ts';

export function addDeviceVerbs(root: Command): void {
  const group = root.command('device').description("this host's block devices");
  group
    .command('ls')
    .description('list block devices')
    .option('--all', 'also those that were here before and are gone')
    .option('--rescan', 'look at the hardware now')
    .action(
      verb(async ({ client, format }, options: { all?: boolean; rescan?: boolean }) => {
        if (options.rescan) await client.send('/agent/v1/devices/rescan', 'POST');
        const { devices: all } = await client.json<DevicesReply>('/agent/v1/devices');
        const devices = options.all ? all : all.filter((device) => device.present);
        if (format === 'json') return printJson(devices);
        printTable(['NAME', 'KIND', 'SIZE', 'FS', 'MODEL', 'MOUNTED AT', 'ID'], devices.map(row));
      }),
    );
  group
    .command('inspect <device>')
    .description('all facts of one device (id or kernel name)')
    .action(
      verb(async ({ client, format }, ref: string) => {
        const device = await client.json<DeviceBody>(
          `/agent/v1/devices/${encodeURIComponent(ref)}`,
        );
        if (format === 'json') return printJson(device);
        printFields(fields(device));
      }),
    );
}

function row(device: DeviceBody): string[] {
  return [
    device.present ? device.name : `(${device.name})`,
    device.kind + (device.readOnly ? ' ro' : ''),
    formatBytes(device.sizeBytes),
    device.fileSystem?.type ?? '-',
    printable(device.model ?? '-'),
    printable(device.mountPoints.join(', ') || '-'),
    device.id,
  ];
}

function fields(device: DeviceBody): Array<readonly [string, string | number | undefined]> {
  const { identity, fileSystem } = device;
  return [
    ['name', device.name],
    ['id', device.id],
    ['identity', `${identity.scheme} ${identity.value} (confidence ${identity.confidence})`],
    ['present', device.present ? 'yes' : 'no'],
    ['kind', device.kind],
    ['size', `${formatBytes(device.sizeBytes)} (${device.sizeBytes} bytes)`],
    ['sectors', `${device.logicalBlockBytes} logical, ${device.physicalBlockBytes} physical`],
    ['rotational', device.rotational ? 'yes' : 'no'],
    ['read-only', device.readOnly ? 'yes' : 'no'],
    ['model', device.model],
    ['serial', device.serial],
    ['wwid', device.wwid],
    ['diskseq', device.diskseq],
    ['backing file', device.backingFile],
    [
      'file system',
      fileSystem && [fileSystem.type, fileSystem.label, fileSystem.uuid].filter(Boolean).join(' '),
    ],
    ['mounted at', device.mountPoints.join(', ')],
    ['parent', device.parent],
    ['children', device.children.join(', ')],
    ['holders', device.holders.join(', ')],
    ['slaves', device.slaves.join(', ')],
  ];
}
