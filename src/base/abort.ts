import { HoldfastError } from './errors.ts';

/** Resolves when the signal aborts; at once when it has. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Runs the parts side by side until the first of them ends, then aborts the others and waits for them,
 * so that nothing of it is still at work afterwards.
 * @throws what the first to end threw
 */
export async function together(
  signal: AbortSignal,
  parts: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const inner = new AbortController();
  const passOn = (): void => inner.abort();
  if (signal.aborted) inner.abort();
  // Not AbortSignal.any: `signal` may live as long as the process, and would remember every call.
  signal.addEventListener('abort', passOn, { once: true });
  const running = parts.map((part) => part(inner.signal));
  try {
    await Promise.race(running);
  } finally {
    inner.abort();
    signal.removeEventListener('abort', passOn);
    await Promise.allSettled(running);
  }
}

/** @throws Cancelled, or DeadlineExceeded where the signal is one of `AbortSignal.timeout` */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/**
 * What `work` gives, unless the signal aborts first: then it goes on unobserved, and how it ends is unknown.
 * An aborted signal begins nothing. @throws Cancelled, DeadlineExceeded
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  if (!signal) return work();
  const done = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(abortedError(signal)), { signal: done.signal });
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    done.abort();
  }
}

function abortedError(signal: AbortSignal): HoldfastError {
  const { reason } = signal;
  const late = reason instanceof DOMException && reason.name === 'TimeoutError';
  return late
    ? new HoldfastError('DeadlineExceeded', 'the deadline of the call passed', { cause: reason })
    : new HoldfastError('Cancelled', 'the caller aborted the call', { cause: reason });
}
