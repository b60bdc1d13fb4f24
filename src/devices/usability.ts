import type { Device } from './device.ts';

/** Codes that speak against it, and codes that don't. */
export type ReasonCode =
  | 'absent'
  | 'quarantined'
  | 'no-identity'
  | 'kind'
  | 'empty'
  | 'read-only'
  | 'mounted'
  | 'swap'
  | 'leg'
  | 'held'
  | 'partitioned'
  | 'content'
  | 'content-unknown'
  | 'in-use'
  | 'claimed'
  | 'identity'
  | 'unused'
  | 'no-signature';

export interface Reason {
  readonly code: ReasonCode;
  /** False: it speaks for the device, or a person should know. */
  readonly against: boolean;
  readonly message: string;
}

/** Whether a device may be taken for something new, with every reason. */
export interface Verdict {
  readonly free: boolean;
  readonly reasons: readonly Reason[];
}

/** Who uses a device, that the kernel doesn't know of: `volume "data1"`. */
export type User = string;

export interface Custody {
  readonly users?: readonly User[] | undefined;
  /** Who has claimed it. */
  readonly owner?: string | undefined;
}

/**
 * "Is this disk free?" Pure. Free means that nothing speaks against it: it is here, known by more than its
 * place, writable, used by nobody, and its superblocks were read and hold no signature. What isn't known
 * speaks against it.
 */
export function judge(device: Device, custody: Custody = {}): Verdict {
  const problems = [
    ...whoItIs(device),
    ...whoTookIt(custody),
    ...(device.present ? [...whatItIs(device), ...whoHasIt(device), ...whatIsOnIt(device)] : []),
  ].map(([code, message]) => ({ code, message, against: true }));
  return {
    free: problems.length === 0,
    reasons: [...problems, ...whatSpeaksForIt(device, custody)],
  };
}

type Problem = readonly [ReasonCode, string];

function whoItIs({ present, quarantine, identity, legOf, name }: Device): Problem[] {
  if (quarantine) {
    const message = `${quarantine.names.join(' and ')} claim one identity, ${quarantine.id}: a copy, or two paths to one disk`;
    return [['quarantined', message]];
  }
  if (!present) return [['absent', 'it was here and is not now']];
  if (legOf !== undefined)
    return [['leg', `it is one path to the multipath disk ${legOf}: use that`]];
  if (identity.scheme !== 'path') return [];
  return [
    [
      'no-identity',
      `nothing but its place, ${name}, tells it from others: it may be another one after any boot`,
    ],
  ];
}

const UNSUITED: Partial<Record<Device['kind'], string>> = {
  rom: 'it is an optical drive',
  ram: 'it is memory: what is on it is gone after a boot',
  zram: 'it is memory: what is on it is gone after a boot',
};

function whatItIs({ kind, sizeBytes, readOnly }: Device): Problem[] {
  const problems: Problem[] = [];
  const unsuited = UNSUITED[kind];
  if (unsuited !== undefined) problems.push(['kind', unsuited]);
  if (sizeBytes === 0) problems.push(['empty', 'its size is 0: no medium, or a disk that failed']);
  if (readOnly) problems.push(['read-only', 'it is read-only']);
  return problems;
}

function whoTookIt({ users = [], owner }: Custody): Problem[] {
  const problems: Problem[] = users.map((user) => ['in-use', `${user} uses it`]);
  if (owner !== undefined) problems.push(['claimed', `it is claimed by ${JSON.stringify(owner)}`]);
  return problems;
}

function whoHasIt(device: Device): Problem[] {
  const { mountPoints, swap, legOf, holders, children } = device;
  const problems: Problem[] = [];
  if (mountPoints.length > 0) problems.push(['mounted', `it is mounted at ${some(mountPoints)}`]);
  if (swap) problems.push(['swap', 'the kernel swaps to it']);
  if (legOf === undefined && holders.length > 0) {
    problems.push(['held', `${some(holders)} ${holders.length === 1 ? 'stands' : 'stand'} on it`]);
  }
  if (children.length > 0) problems.push(['partitioned', `it has partitions: ${some(children)}`]);
  return problems;
}

/** Signatures of what isn't a file system (libblkid's TYPE). */
const MEMBERS: Readonly<Record<string, string>> = {
  LVM2_member: 'it is a physical volume of LVM',
  crypto_LUKS: 'it is encrypted with LUKS',
  linux_raid_member: 'it is a member of a RAID',
  swap: 'it is formatted as swap',
};

function whatIsOnIt(device: Device): Problem[] {
  const { content, fileSystem, partitionTable, children } = device;
  switch (content) {
    case 'found':
      // A partition table with partitions is no more than what they say.
      if (fileSystem) return [['content', contentSentence(fileSystem)]];
      if (children.length > 0) return [];
      return [['content', `it has a partition table (${partitionTable}) without partitions`]];
    case 'nothing':
      return [];
    case 'ambivalent':
      return [['content', 'it has signatures that contradict each other']];
    case 'unreadable':
      return [['content-unknown', 'its first block can not be read']];
    case 'unread':
      return device.sizeBytes === 0
        ? []
        : [
            [
              'content-unknown',
              'what is written on it is not known: blkid gave no answer, or may not read it',
            ],
          ];
  }
}

function contentSentence({ type, label }: NonNullable<Device['fileSystem']>): string {
  const named = label === undefined ? '' : ` called ${JSON.stringify(label)}`;
  return MEMBERS[type] ?? `it has a file system, ${type}${named}`;
}

function whatSpeaksForIt(device: Device, custody: Custody): Reason[] {
  const { identity, present } = device;
  const reasons: Reason[] = [];
  const say = (code: ReasonCode, message: string): void => {
    reasons.push({ code, message, against: false });
  };
  if (identity.scheme !== 'path') {
    say(
      'identity',
      `it is known as ${identity.scheme} ${identity.value} (confidence ${identity.confidence})`,
    );
  }
  if (present && [...whoTookIt(custody), ...whoHasIt(device)].length === 0) {
    say('unused', 'nothing uses it: no mount, no swap, no partition, nothing stacked on it');
  }
  if (present && device.content === 'nothing') {
    say('no-signature', 'no signature was found on it, which is no proof that it is blank');
  }
  return reasons;
}

const NAMED_MAX = 3;

function some(names: readonly string[]): string {
  const rest = names.length - NAMED_MAX;
  return rest <= 0 ? names.join(', ') : `${names.slice(0, NAMED_MAX).join(', ')} and ${rest} more`;
}
