/** Time as a dependency, so that tests can move it. Wall and monotonic time are never mixed. */
export interface Clock {
  /** Milliseconds since 1970, for people only: it may jump. */
  wallMs(): number;
  /** Milliseconds since some start; never goes back. For durations and deadlines. */
  monoMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts: check the signal after it. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    });
  },
};
