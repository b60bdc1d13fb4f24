/** Goal: secrets come from files and systemd credentials, without an editor's line end, never into messages. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { readSecret, readSecretFile, secretPath } from './secret.ts';

it('leaves an absolute path alone and finds %d/ in the credentials directory', () => {
  expect(secretPath('/etc/x', {})).toBe('/etc/x');
  const env = { CREDENTIALS_DIRECTORY: '/run/credentials/holdfast.service' };
  expect(secretPath('%d/etcd', env)).toBe('/run/credentials/holdfast.service/etcd');
});

it.each([{}, { CREDENTIALS_DIRECTORY: '' }])('says what to add to the unit without one', (env) => {
  expect(() => secretPath('%d/etcd', env)).toThrow(
    expect.objectContaining({
      code: 'ConfigInvalid',
      hint: expect.stringContaining('LoadCredential=etcd:') as string,
    }),
  );
});

it.each([
  ['word\n', 'word'],
  ['word\r\n', 'word'],
  ['word', 'word'],
  [' a b \n\n', ' a b \n'],
  ['', ''],
])('reads %j as %j, the bytes as they are', async (content, expected) => {
  const folder = tempDir('secret');
  writeFileSync(path.join(folder, 'one'), content);
  const env = { CREDENTIALS_DIRECTORY: folder };
  expect(await readSecret('%d/one', env)).toBe(expected);
  expect((await readSecretFile('%d/one', env)).toString()).toBe(content);
});

it('names the path when it cannot be read', async () => {
  const file = path.join(tempDir('secret'), 'missing');
  await expect(readSecret(file)).rejects.toMatchObject({
    code: 'ConfigInvalid',
    message: expect.stringContaining(file),
  });
});
