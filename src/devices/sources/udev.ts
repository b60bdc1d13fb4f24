import { decodeValue, type Tree } from './tree.ts';

/** What udev found out about a device, if it runs here. It may lag behind the disk: a hint. */
export interface UdevHint {
  readonly fsType?: string;
  readonly fsUuid?: string;
  readonly fsLabel?: string;
  readonly partitionTable?: string;
  readonly partitionTableUuid?: string;
  readonly partUuid?: string;
}

/** The record of block device major:minor in udev's database; empty when there is none. */
export function readUdevHint(tree: Tree, major: number, minor: number): UdevHint {
  const bytes = tree.whole(`run/udev/data/b${major}:${minor}`);
  if (!bytes) return {};
  const properties = parseUdevRecord(bytes);
  return {
    fsType: properties.get('ID_FS_TYPE'),
    fsUuid: decoded(properties.get('ID_FS_UUID_ENC')) ?? properties.get('ID_FS_UUID'),
    fsLabel: decoded(properties.get('ID_FS_LABEL_ENC')) ?? properties.get('ID_FS_LABEL'),
    partitionTable: properties.get('ID_PART_TABLE_TYPE'),
    partitionTableUuid: properties.get('ID_PART_TABLE_UUID')?.toLowerCase(),
    partUuid: properties.get('ID_PART_ENTRY_UUID')?.toLowerCase(),
  };
}

/** Lines `E:KEY=VALUE` of a record; the others (links, priority, tags, time stamps) don't matter here. */
export function parseUdevRecord(bytes: Uint8Array): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of Buffer.from(bytes).toString('latin1').split('\n')) {
    const match = /^E:([^=]+)=(.*)$/.exec(line);
    const value = match?.[2] && decodeValue(Buffer.from(match[2], 'latin1'));
    if (match?.[1] && value) properties.set(match[1], value);
  }
  return properties;
}

/** udev writes what isn't harmless in `*_ENC` values as `\xNN`, byte by byte. */
function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const latin1 = Buffer.from(text).toString('latin1');
  const bytes = latin1.replace(/\\x([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return decodeValue(Buffer.from(bytes, 'latin1'));
}
