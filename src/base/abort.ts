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
