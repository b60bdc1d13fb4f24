import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { lockFile } from '../../native/index.ts';
import { hasErrno, HoldfastError, messageOf } from '../base/errors.ts';

/*
 * MARKER FORMAT: `<state>/holdfast.json`, one JSON object
 *   format  1; a newer one is refused, so that an older agent never touches what it can't read
 * LOCK: `<state>/agent.lock`, flock(2)ed by the running agent, holds its pid as text.
 */
const FORMAT = 1;
const MARKER = 'holdfast.json';
const LOCK = 'agent.lock';

interface Marker {
  readonly format: number;
}

/** The folder of one agent: made on first use, locked while it runs. */
export class StateDir {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  get enginePath(): string {
    return join(this.path, 'engine');
  }

  get mountRoot(): string {
    return join(this.path, 'mounts');
  }

  /**
   * The lock lasts until the process ends, however it ends.
   * @throws Locked (with the other's pid), StateMismatch (newer format, not ours),
   *   PermissionDenied, NoSpace
   */
  static async open(path: string): Promise<StateDir> {
    await makeFolder(path);
    await lock(path);
    const marker = await readMarker(path);
    if (marker === undefined) {
      const fresh: Marker = { format: FORMAT };
      await writeDurably(join(path, MARKER), `${JSON.stringify(fresh)}\n`);
    }
    return new StateDir(path);
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await access(path, constants.W_OK);
    // access(2) says yes to root on a read-only mount too; only a write tells.
    const probe = join(path, '.write-probe');
    await writeFile(probe, 'can this folder be written?\n');
    await rm(probe);
  } catch (thrown) {
    if (hasErrno(thrown, 'EROFS') || hasErrno(thrown, 'EACCES') || hasErrno(thrown, 'EPERM')) {
      throw new HoldfastError(
        'PermissionDenied',
        `the state folder ${path} can't be written: ${messageOf(thrown)}`,
        {
          hint: 'mount it read-write, run as its owner, or name another with --state-dir',
          cause: thrown,
        },
      );
    }
    if (hasErrno(thrown, 'ENOSPC')) {
      throw new HoldfastError('NoSpace', `no space left for the state folder ${path}`, {
        hint: 'free some space on its file system',
        cause: thrown,
      });
    }
    if (hasErrno(thrown, 'ENOTDIR') || hasErrno(thrown, 'EEXIST')) {
      throw new HoldfastError(
        'StateMismatch',
        `${path} is in the way of the state folder: not a directory`,
        {
          hint: 'name another with --state-dir',
          cause: thrown,
        },
      );
    }
    throw thrown;
  }
}

async function lock(path: string): Promise<void> {
  const file = join(path, LOCK);
  if (lockFile(file) === undefined) {
    const pid = (await readFile(file, 'utf8').catch(() => '')).trim();
    throw new HoldfastError(
      'Locked',
      `another agent${pid === '' ? '' : ` (pid ${pid})`} has the state folder ${path}`,
      {
        hint: 'stop it first, or name another folder with --state-dir',
      },
    );
  }
  await writeFile(file, `${process.pid}\n`);
}

async function readMarker(path: string): Promise<Marker | undefined> {
  let text: string;
  try {
    text = await readFile(join(path, MARKER), 'utf8');
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOENT')) return undefined;
    throw thrown;
  }
  const marker = parse(text);
  if (typeof marker?.format !== 'number') {
    throw new HoldfastError(
      'StateMismatch',
      `${join(path, MARKER)} is not a marker of Holdfast's`,
      {
        hint: 'this folder belongs to something else; name another with --state-dir',
      },
    );
  }
  if (marker.format > FORMAT) {
    throw new HoldfastError(
      'StateMismatch',
      `the state folder ${path} has format ${marker.format}; this version knows up to ${FORMAT}`,
      { hint: 'run the newer version that wrote it' },
    );
  }
  return marker as Marker;
}

function parse(text: string): Partial<Marker> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Write, sync, rename, sync the folder: after a power cut there is the old file or the new, never half. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
