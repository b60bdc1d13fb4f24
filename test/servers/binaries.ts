import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const SERVERS = {
  etcd: { commands: ['etcd', 'etcdctl'], packages: 'etcd-server etcd-client' },
  mosquitto: { commands: ['mosquitto', 'mosquitto_sub'], packages: 'mosquitto mosquitto-clients' },
} as const;

export type ServerName = keyof typeof SERVERS;

/** Why the server can't be started here, with what to install; undefined when it can. */
export function serverMissing(name: ServerName): string | undefined {
  const { commands, packages } = SERVERS[name];
  const missing = commands.filter((command) => findCommand(command) === undefined);
  if (missing.length === 0) return undefined;
  return `${missing.join(' and ')} not installed: apt-get install ${packages}, or scripts/setup --tests as root`;
}

/** @throws with what to install when it is missing. */
export function requireServer(name: ServerName): void {
  const missing = serverMissing(name);
  if (missing !== undefined) throw new Error(missing);
}

/** Debian keeps daemons in /usr/sbin, which isn't in an ordinary user's PATH. */
export function findCommand(command: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => path.join(folder, command))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
