import type { Clock } from '../base/clock.ts';
import { HoldfastError, toHoldfastError } from '../base/errors.ts';
import { inParallel, within } from './deadline.ts';
import type { Volume } from './volume.ts';

/** Mounts side by side at boot: more only queue up at the same disks. */
export const BOOT_MOUNTS_AT_ONCE = 8;

export interface BootVerdict {
  readonly volumeId: string;
  readonly name: string;
  /** Absent when it is mounted. A late one goes on, and may still come up. */
  readonly error?: HoldfastError;
}

/** Each volume with a deadline and a verdict of its own: a sick one delays nobody, whatever it hangs in. */
export async function bootMounts(
  volumes: readonly Volume[],
  mount: (id: string) => Promise<unknown>,
  deadlineMs: number,
  clock: Clock,
): Promise<readonly BootVerdict[]> {
  const verdicts: BootVerdict[] = [];
  await inParallel(volumes, BOOT_MOUNTS_AT_ONCE, async ({ spec }) => {
    const verdict = { volumeId: spec.id, name: spec.name };
    try {
      await within(mount(spec.id), deadlineMs, clock, () => lateError(spec.name, deadlineMs));
      verdicts.push(verdict);
    } catch (thrown) {
      verdicts.push({ ...verdict, error: toHoldfastError(thrown) });
    }
  });
  return verdicts;
}

function lateError(name: string, deadlineMs: number): HoldfastError {
  const message = `volume "${name}" was not mounted within ${deadlineMs / 1000} s`;
  return new HoldfastError('DeadlineExceeded', message, {
    hint: 'it goes on; volumes.bootDeadlineSeconds is how long a boot waits for each',
  });
}
