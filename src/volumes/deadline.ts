import type { Clock } from '../base/clock.ts';

/**
 * `work`, or `late()` thrown after `ms`. The work itself goes on: what hangs in the kernel can't be
 * called back, only no longer waited for.
 */
export async function within<T>(
  work: Promise<T>,
  ms: number,
  clock: Clock,
  late: () => Error,
): Promise<T> {
  const timer = new AbortController();
  const alarm = clock.sleep(ms, timer.signal).then(() => {
    if (timer.signal.aborted) return new Promise<never>(() => undefined);
    throw late();
  });
  // When the work wins, nobody waits for the alarm; when the alarm wins, nobody waits for the work.
  alarm.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, alarm]);
  } finally {
    timer.abort();
  }
}

/** All of `items` through `work`, at most `width` at a time. `work` must not reject. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
