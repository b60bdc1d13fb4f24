/** Which loop devices are over an image, whatever path it was attached by. */
import { basename } from 'node:path';
import { HoldfastError } from '../../base/errors.ts';
import type { FileIdentity, LoopFacts } from '../hostops.ts';

/**
 * A device is over the image when it serves that very file (under any path: a bind mount of the folder,
 * another root), or a file that had its path (deleted or hidden since). Where the kernel doesn't tell
 * which file it is, the name counts: image names are unique, and bind mounts don't change them.
 * @param file the image now; undefined when it is gone
 */
export function devicesOver(
  loops: readonly LoopFacts[],
  image: string,
  file: FileIdentity | undefined,
): readonly LoopFacts[] {
  return loops.filter((loop) => {
    if (loop.backingFile === image) return true;
    if (!loop.file) return basename(loop.backingFile) === basename(image);
    return file !== undefined && isSame(loop.file, file);
  });
}

/**
 * The device to use of those over the image; undefined when one has to be attached. A second one is
 * never made, and never used: the file system would be mounted twice, each mount damaging the other's.
 * @throws Conflict
 */
export function deviceToUse(
  over: readonly LoopFacts[],
  image: string,
  file: FileIdentity | undefined,
): string | undefined {
  const replaced = over.find((loop) =>
    loop.file && file ? !isSame(loop.file, file) : loop.deleted,
  );
  if (replaced) {
    throw new HoldfastError(
      'Conflict',
      `${image} was replaced while ${replaced.path} still serves the file it was before`,
      { hint: 'detach that device first' },
    );
  }
  const untold = over.find((loop) => !loop.file);
  if (untold) {
    throw new HoldfastError(
      'Conflict',
      `${untold.path} (${untold.backingFile}) may serve ${image}: the kernel doesn't tell which file it is`,
      { hint: `see what holds it: losetup -l ${untold.path}` },
    );
  }
  if (over.length > 1) {
    throw new HoldfastError(
      'Conflict',
      `${image} has ${over.length} loop devices, and two mounts of it would damage it: ` +
        over.map((loop) => `${loop.path} (${loop.backingFile})`).join(', '),
      { hint: 'unmount and detach all but one: losetup --detach' },
    );
  }
  return over[0]?.path;
}

function isSame(one: FileIdentity, other: FileIdentity): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
