import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, messageOf } from '../../base/errors.ts';

/** `%d/name` as a path: systemd's LoadCredential= puts `name` into $CREDENTIALS_DIRECTORY. @throws ConfigInvalid */
export function secretPath(file: string, env: NodeJS.ProcessEnv = process.env): string {
  if (!file.startsWith('%d/')) return file;
  const folder = env['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || folder === '') {
    throw new HoldfastError('ConfigInvalid', `${file}: CREDENTIALS_DIRECTORY is not set`, {
      hint: `add LoadCredential=${file.slice(3)}:/path/to/file to the unit, or name the file itself`,
    });
  }
  return join(folder, file.slice(3));
}

/**
 * The secret in a file, without the line end an editor puts there. Read at every use, so that a new
 * password needs no restart.
 * @throws ConfigInvalid when it can't be read; the message holds the path, never the content
 */
export async function readSecret(
  file: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  return (await readSecretFile(file, env)).toString('utf8').replace(/\r?\n$/, '');
}

/** The same for a key or certificate: its bytes as they are. @throws ConfigInvalid */
export async function readSecretFile(
  file: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Buffer> {
  const path = secretPath(file, env);
  try {
    return await readFile(path);
  } catch (thrown) {
    throw new HoldfastError('ConfigInvalid', `${path}: cannot be read: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}
