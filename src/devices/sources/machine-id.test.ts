/** Goal: the machine-id tells two installations apart and never shows itself. */
import { expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { readMachine } from './machine-id.ts';
import { Tree } from './tree.ts';

function machineOf(text: string | undefined): string | undefined {
  const root = tempDir('machine');
  if (text !== undefined) plant(root, { 'etc/machine-id': text });
  return readMachine(new Tree(root));
}

it('is a keyed hash: the same for one id, another for another, and fixed for ever', () => {
  const one = machineOf('4b7e0d6f9d3c4c6db6f1a2b3c4d5e6f7\n');
  // A stored fingerprint has this; printf ID | openssl dgst -sha256 -hmac KEY says the same.
  expect(one).toBe('b0f8c4dd334cc599cabf66ac288e2f45dd61f782f9850748e6770df4d67e89e8');
  expect(machineOf('4b7e0d6f9d3c4c6db6f1a2b3c4d5e6f8\n')).not.toBe(one);
});

it.each([undefined, '', 'uninitialized\n', '0'.repeat(32), 'not an id\n', '4b7e0d6f'])(
  'is unknown for %j',
  (text) => expect(machineOf(text)).toBeUndefined(),
);
