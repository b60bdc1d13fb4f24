import { createHmac } from 'node:crypto';
import type { Tree } from './tree.ts';

/**
 * Names the application, isn't secret, and never changes: with another one every host's machine-id would
 * look replaced.
 */
const APPLICATION_KEY = 'holdfast host fingerprint, version 1';
/** machine-id(5): 32 lower-case hex digits; `uninitialized` before the first boot, all zero is invalid. */
const MACHINE_ID = /^(?!0{32})[0-9a-f]{32}$/;

/**
 * HMAC-SHA-256 of /etc/machine-id, as hex. machine-id(5) calls the id confidential and asks for a keyed
 * hash of it wherever it leaves the host.
 */
export function readMachine(tree: Tree): string | undefined {
  const id = tree.text('etc/machine-id');
  if (id === undefined || !MACHINE_ID.test(id)) return undefined;
  return createHmac('sha256', APPLICATION_KEY).update(id).digest('hex');
}
