import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rmdir,
  unlink,
} from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { HoldfastError, hasErrno, messageOf } from '../base/errors.ts';

/** Owner and group may connect; nobody else. */
const SOCKET_MODE = 0o660;
/** Of the socket's folder, if it has to be made: whoever may use the socket must get to it. */
const FOLDER_MODE = 0o755;
/** `sun_path` of unix(7) is 108 bytes with its final NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
/** An agent that is alive accepts a local connection well within this, even on a busy machine. */
const PROBE_DEADLINE_MS = 2000;

/**
 * Makes `server` listen on a unix socket at `path`, mode 0660.
 *
 * The socket is bound in a fresh folder that only we can enter, gets its mode and group there, and
 * is then renamed to its place: nobody can connect before the mode is right, whatever the umask is
 * (which is the process's and not ours to change), and a dead agent's file is replaced atomically.
 *
 * @returns removes the socket file, if it is still ours
 * @throws Locked when a living process answers there; ConfigInvalid; PermissionDenied
 */
export async function bindUnixSocket(
  server: Server,
  path: string,
  group?: string,
): Promise<() => Promise<void>> {
  const gid = group === undefined ? undefined : await groupId(group);
  await refuseLivingSocket(path);
  const folder = await makePrivateFolder(path);
  const temporary = join(folder, 's');
  try {
    await listenOn(server, temporary);
    if (gid !== undefined) await chown(temporary, -1, gid).catch(refuseGroup(group ?? ''));
    await chmod(temporary, SOCKET_MODE);
    const { ino } = await lstat(temporary);
    await rename(temporary, path);
    return () => removeOwn(path, ino);
  } catch (thrown) {
    server.close();
    await unlink(temporary).catch(() => undefined);
    throw thrown;
  } finally {
    await rmdir(folder).catch(() => undefined);
  }
}

async function makePrivateFolder(path: string): Promise<string> {
  const parent = dirname(path);
  checkLength(path);
  // The path that it is bound to: mkdtemp(3) adds six characters.
  checkLength(`${parent}/.123456/s`);
  try {
    // `/run/holdfast` when no systemd made it; only the last folder, so that a typo makes no tree.
    await mkdir(parent, FOLDER_MODE).catch(() => undefined);
    // Not `join`, which drops the dot: the folder would be made beside the parent, not in it.
    return await mkdtemp(`${parent}/.`);
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOENT')) {
      throw new HoldfastError(
        'ConfigInvalid',
        `the folder of the socket, ${parent}, doesn't exist`,
        {
          hint: `create ${parent} or set another socket (--socket)`,
          cause: thrown,
        },
      );
    }
    throw new HoldfastError('PermissionDenied', `can't create ${path}: ${messageOf(thrown)}`, {
      hint: `give this user write permission on ${parent} or set another socket (--socket)`,
      cause: thrown,
    });
  }
}

function checkLength(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  throw new HoldfastError(
    'ConfigInvalid',
    `the socket's path is ${bytes} bytes long, Linux takes ${SOCKET_PATH_BYTES_MAX}: ${path}`,
    { hint: 'choose a shorter one with --socket' },
  );
}

async function refuseLivingSocket(path: string): Promise<void> {
  const facts = await lstat(path).catch((thrown: unknown) => {
    if (hasErrno(thrown, 'ENOENT')) return undefined;
    throw thrown;
  });
  if (facts === undefined) return;
  if (!facts.isSocket()) {
    throw new HoldfastError('ConfigInvalid', `${path} is there already and isn't a socket`, {
      hint: 'move it away or set another socket (--socket)',
    });
  }
  if (await answers(path)) {
    throw new HoldfastError('Locked', `another process answers on ${path}`, {
      hint: 'stop the other agent first, or give this one its own --socket and --state-dir',
    });
  }
}

/** Only a refused connection proves that nobody listens; silence or a full backlog is somebody. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(PROBE_DEADLINE_MS, () => done(true));
    socket.once('connect', () => done(true));
    socket.once('error', (error) => {
      done(!hasErrno(error, 'ECONNREFUSED') && !hasErrno(error, 'ENOENT'));
    });
  });
}

export function listenOn(
  server: Server,
  where: string | { host: string; port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = (): void => {
      server.off('error', reject);
      resolve();
    };
    if (typeof where === 'string') server.listen(where, listening);
    else server.listen(where, listening);
  });
}

/** /etc/group only: an agent that needs a directory server to open its socket isn't offline-first. */
async function groupId(group: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  const lines = (await readFile('/etc/group', 'utf8')).split('\n');
  const entry = lines.map((line) => line.split(':')).find(([name]) => name === group);
  if (entry?.[2] !== undefined) return Number(entry[2]);
  throw new HoldfastError(
    'ConfigInvalid',
    `http.group: there is no group "${group}" in /etc/group`,
    {
      hint: `create it: groupadd --system ${group}`,
    },
  );
}

function refuseGroup(group: string): (cause: unknown) => never {
  return (cause) => {
    throw new HoldfastError(
      'PermissionDenied',
      `can't give the socket to group "${group}": ${messageOf(cause)}`,
      { hint: 'run as root or be a member of that group', cause },
    );
  };
}

async function removeOwn(path: string, ino: number): Promise<void> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts?.ino === ino) await unlink(path).catch(() => undefined);
}
