import { createHash } from 'node:crypto';
import { HoldfastError } from '../base/errors.ts';
import { isUuid } from '../base/ids.ts';

/** 128 bytes: the CSI spec's limit for strings ("size limits" of spec.md), so every door takes the same names. */
const NAME_BYTES_MAX = 128;

// C0 and C1 control characters: they break terminals and logs, and CSI forbids them as well.
// oxlint-disable-next-line no-control-regex -- matching control characters is the point
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * A name is for people only: it is never a path, key or topic, so `/`, `..`, quotes and emoji are fine.
 * @throws InvalidArgument
 */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || name === '') {
    throw invalidName('a volume needs a name');
  }
  if (!name.isWellFormed())
    throw invalidName('the name is not well-formed Unicode (a lone surrogate)');
  const bytes = Buffer.byteLength(name);
  if (bytes > NAME_BYTES_MAX) {
    throw invalidName(
      `the name has ${bytes} bytes of UTF-8; at most ${NAME_BYTES_MAX} are allowed`,
    );
  }
  const control = CONTROL.exec(name);
  if (control) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    throw invalidName(`the name contains the control character U+${code}`);
  }
  if (name.trim() === '') throw invalidName('the name is blank');
  if (isUuid(name))
    throw invalidName(`the name "${name}" looks like an id, so nobody could tell which is meant`);
}

/** Two names with the same fold are the same name. Upper then lower case is full case folding (ß = SS, ς = Σ). */
export function foldName(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

/** The key that reserves a name. A digest: names have characters and lengths that keys have not. */
export function nameKey(name: string): string {
  return `names/${createHash('sha256').update(foldName(name)).digest('hex')}`;
}

function invalidName(message: string): HoldfastError {
  return new HoldfastError('InvalidArgument', message, {
    hint: `a name is 1 to ${NAME_BYTES_MAX} bytes of UTF-8 without control characters`,
  });
}
