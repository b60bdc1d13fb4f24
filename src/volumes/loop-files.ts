import type { Clock } from '../base/clock.ts';
import { hasErrno } from '../base/errors.ts';
import { loopStatus } from '../../native/index.ts';
import { within } from './deadline.ts';
import type { FileIdentity } from './hostops.ts';

/** The kernel answers in microseconds, unless the file lies on a file system that hangs. */
const ANSWER_DEADLINE_MS = 2_000;

/**
 * Not root, or a container without this device's node; then what the file's own file system says when it
 * is gone (NFS, FUSE): a foreign one must not stop every other volume.
 */
const NOT_TOLD = ['EACCES', 'EPERM', 'ENOENT', 'ESTALE', 'ENOTCONN', 'EIO'];

class NoAnswer extends Error {}

/**
 * Which file each loop device serves, in the kernel's own numbers (LOOP_GET_STATUS64): its path says
 * little, since one file has as many paths as there are mounts of its folder. The path itself is never
 * looked up: it may lead to a file system that hangs.
 */
export class LoopFiles {
  readonly #clock: Clock;
  readonly #ask: (device: string) => Promise<FileIdentity | undefined>;
  /** Not asked again until the first question is answered: each one that hangs keeps a thread. */
  readonly #silent = new Set<string>();

  constructor(
    clock: Clock,
    ask: (device: string) => Promise<FileIdentity | undefined> = loopStatus,
  ) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** @returns undefined when the kernel doesn't tell, which does not mean that nothing is attached */
  async of(device: string): Promise<FileIdentity | undefined> {
    if (this.#silent.has(device)) return undefined;
    const answer = this.#ask(device);
    try {
      return await within(answer, ANSWER_DEADLINE_MS, this.#clock, () => new NoAnswer());
    } catch (thrown) {
      if (NOT_TOLD.some((errno) => hasErrno(thrown, errno))) return undefined;
      if (!(thrown instanceof NoAnswer)) throw thrown;
      const heard = (): void => void this.#silent.delete(device);
      this.#silent.add(device);
      answer.then(heard, heard);
      return undefined;
    }
  }
}
