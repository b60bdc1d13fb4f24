import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Every temporary folder of a test begins so: what the leak check looks for. */
export const TEMP_PREFIX = 'holdfast-test-';

/** A new empty folder `…/holdfast-test-<name>-XXXXXX`. The caller removes it with `removeTempFolder`. */
export function makeTempFolder(name: string): string {
  return mkdtempSync(path.join(realpathSync(tmpdir()), `${TEMP_PREFIX}${name}-`));
}

/**
 * Removes the folder and all in it; fine when it is gone already.
 * @throws when something is still mounted under it: a recursive delete would reach into the mount.
 */
export function removeTempFolder(folder: string): void {
  const mounts = mountsUnder(folder);
  if (mounts.length > 0) throw new Error(`still mounted, not removed: ${mounts.join(', ')}`);
  rmSync(folder, { recursive: true, force: true });
}

/** Mount points at or under the folder, deepest last mounted first (the order to unmount them). */
export function mountsUnder(folder: string): string[] {
  return mountPoints()
    .filter((at) => at === folder || at.startsWith(`${folder}/`))
    .reverse();
}

/** Every mount point of this namespace in mount order, octal escapes undone (proc(5), mountinfo). */
export function mountPoints(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => unescapeOctal(line.split(' ')[4] ?? ''));
}

function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return bytes === text ? text : Buffer.from(bytes, 'latin1').toString('utf8');
}
