import { decodeValue } from './tree.ts';

/** One line of /proc/<pid>/mountinfo (proc(5)). Paths are as the process sees them, escapes undone. */
export interface MountEntry {
  readonly mountId: number;
  readonly parentId: number;
  readonly major: number;
  readonly minor: number;
  /** Which folder of the file system is mounted; `/` unless it is a bind mount or a subvolume. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per mount, e.g. `['rw', 'nosuid', 'relatime']`. */
  readonly options: readonly string[];
  /** e.g. `shared:1`, `master:2`, `unbindable`. */
  readonly optionalFields: readonly string[];
  /** e.g. `ext4`, `fuse.sshfs` */
  readonly fsType: string;
  /** e.g. `/dev/vda`; empty when the file system names none. */
  readonly source: string;
  /** Per file system, e.g. `['rw', 'discard']`. */
  readonly superOptions: readonly string[];
}

/**
 * Parses mountinfo whole. The kernel writes blanks, tabs, newlines and backslashes inside a field as
 * three octal digits (`\040`), bytes as they are otherwise. A line that isn't one is left out.
 */
export function parseMountinfo(text: string | Uint8Array): MountEntry[] {
  const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text);
  const entries: MountEntry[] = [];
  for (const line of bytes.toString('latin1').split('\n')) {
    const entry = parseLine(line);
    if (entry) entries.push(entry);
  }
  return entries;
}

const HEAD = /^(\d+) (\d+) (\d+):(\d+)$/;

function parseLine(line: string): MountEntry | undefined {
  // The separator is the first lone dash after the sixth field: optional fields are never a dash.
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const head = HEAD.exec(fields.slice(0, 3).join(' '));
  const [root, mountPoint, options] = fields.slice(3, 6);
  if (dash < 0 || !head || !root || !mountPoint || !options) return undefined;
  const [fsType, source, ...superOptions] = fields.slice(dash + 1);
  if (!fsType) return undefined;
  const [mountId, parentId, major, minor] = head.slice(1).map(Number);
  return {
    mountId: mountId!,
    parentId: parentId!,
    major: major!,
    minor: minor!,
    root: decodeMountField(root),
    mountPoint: decodeMountField(mountPoint),
    options: options.split(','),
    optionalFields: fields.slice(6, dash),
    fsType: decodeMountField(fsType),
    source: decodeMountField(source ?? ''),
    superOptions: splitOptions(superOptions.join(' ')),
  };
}

function splitOptions(text: string): string[] {
  return text === '' ? [] : text.split(',').map(decodeMountField);
}

/**
 * A field of mountinfo or /proc/swaps: undoes `\ooo` and turns the bytes into text; a name that isn't UTF-8
 * keeps its bytes as `\xNN`.
 */
export function decodeMountField(field: string): string {
  const bytes = Buffer.from(
    field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
    'latin1',
  );
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : (decodeValue(bytes) ?? '');
}
