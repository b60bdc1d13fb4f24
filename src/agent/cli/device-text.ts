import { formatBytes } from '../../base/bytes.ts';
import type { DeviceBody } from '../faces/agent-api/schema.ts';
import { cut, printable } from './output.ts';

export const DEVICE_COLUMNS = ['NAME', 'KIND', 'SIZE', 'CONTENT', 'USE', 'ID'] as const;

/** With the others at their widest, the id has a dozen characters left of 80. */
const USE_WIDTH_MAX = 24;

/** One device on one line; `name` may have branches of a tree before it. */
export function deviceRow(device: DeviceBody, name?: string): string[] {
  const { kind, readOnly, sizeBytes, present } = device;
  const word = kind === 'partition' ? 'part' : kind;
  return [
    typeof name === 'string' ? name : present ? device.name : `(${device.name})`,
    readOnly ? `${word} ro` : word,
    formatBytes(sizeBytes),
    contentWord(device),
    cut(useOf(device), USE_WIDTH_MAX),
    device.id,
  ].map(printable);
}

/** libblkid's words for what is no file system are long. */
const CONTENT_WORDS: Readonly<Record<string, string>> = {
  LVM2_member: 'LVM',
  crypto_LUKS: 'LUKS',
  linux_raid_member: 'RAID',
  isw_raid_member: 'RAID',
  ddf_raid_member: 'RAID',
};

function contentWord({ fileSystem, partitionTable, content, sizeBytes }: DeviceBody): string {
  if (fileSystem) return CONTENT_WORDS[fileSystem.type] ?? fileSystem.type;
  if (partitionTable !== undefined) return partitionTable;
  if (content === 'nothing' || sizeBytes === 0) return '-';
  return content === 'found' ? 'yes' : '?';
}

/** Who uses it, or else the first reason why it isn't free. */
function useOf(device: DeviceBody): string {
  const { verdict, mountPoints, holders, children, legOf, history, claim } = device;
  if (verdict.free) return 'free';
  const against = verdict.reasons.filter((reason) => reason.against);
  const has = (code: string): boolean => against.some((reason) => reason.code === code);
  if (has('absent')) {
    const since = history.findLast(({ event }) => event === 'disappeared')?.at;
    return since === undefined ? 'gone' : `gone ${since.slice(0, 10)}`;
  }
  if (has('quarantined')) return 'quarantined';
  if (has('leg')) return `path to ${legOf}`;
  if (has('mounted')) return more(mountPoints);
  if (has('swap')) return 'swap';
  if (has('held')) return `below ${more(holders)}`;
  if (has('partitioned')) return `${children.length} partition${children.length === 1 ? '' : 's'}`;
  if (claim) return `claimed by ${claim.owner}`;
  return against[0]?.code ?? '-';
}

function more(names: readonly string[]): string {
  return names.length === 1 ? names[0]! : `${names[0]} +${names.length - 1}`;
}

export function fieldsOf(
  device: DeviceBody,
): Array<readonly [string, string | number | undefined]> {
  const { identity, fileSystem, quarantine, verdict, claim } = device;
  return [
    ['name', device.name],
    ['id', device.id],
    ['identity', `${identity.scheme} ${identity.value} (confidence ${identity.confidence})`],
    ['quarantined', quarantine && `${quarantine.names.join(', ')} claim ${quarantine.id}`],
    ['present', device.present ? 'yes' : 'no'],
    ['free', verdict.free ? 'yes' : 'no (see: holdfast device why)'],
    ['claimed', claim && claimWords(claim)],
    ['kind', device.kind],
    ['layer', [device.layer, device.layerName].filter(Boolean).join(' ')],
    ['path to', device.legOf],
    ['size', `${formatBytes(device.sizeBytes)} (${device.sizeBytes} bytes)`],
    ['sectors', `${device.logicalBlockBytes} logical, ${device.physicalBlockBytes} physical`],
    ['rotational', device.rotational ? 'yes' : 'no'],
    ['read-only', device.readOnly ? 'yes' : 'no'],
    ['removable', device.removable ? 'yes' : 'no'],
    ['model', device.model],
    ['serial', device.serial],
    ['wwid', device.wwid],
    ['diskseq', device.diskseq],
    ['backing file', device.backingFile],
    ['backing device', device.backingDevice],
    ['content', device.content],
    ['partition table', device.partitionTable],
    [
      'file system',
      fileSystem && [fileSystem.type, fileSystem.label, fileSystem.uuid].filter(Boolean).join(' '),
    ],
    ['mounted at', device.mountPoints.join(', ')],
    ['swap', device.swap ? 'yes' : undefined],
    ['parent', device.parent],
    ['children', device.children.join(', ')],
    ['holders', device.holders.join(', ')],
    ['slaves', device.slaves.join(', ')],
  ];
}

function claimWords({ owner, claimedAt, problem }: NonNullable<DeviceBody['claim']>): string {
  const doubt = problem === undefined ? '' : `, but ${problem}`;
  return `by ${owner} since ${claimedAt}${doubt}`;
}
