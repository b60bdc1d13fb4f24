import { HoldfastError, toHoldfastError } from '../base/errors.ts';

/** What went wrong at the target's side; everything else that a replicator throws is the engine or a bug. */
export class TargetError extends Error {
  readonly error: HoldfastError;

  constructor(error: HoldfastError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

/** The target's answer, or the abort, whichever is first: a target that ignores the signal holds up nobody. */
export async function ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new HoldfastError('Cancelled', 'sync is stopping'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([answer, aborted]);
  } catch (thrown) {
    throw new TargetError(toHoldfastError(thrown));
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
    // Whichever lost the race may still fail; nobody waits for it any more.
    aborted.catch(() => undefined);
    answer.catch(() => undefined);
  }
}

/** The same for every page of an answer in pages. */
export async function* askEach<T>(pages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]();
  for (;;) {
    const page = await ask(iterator.next(), signal);
    if (page.done) return;
    yield page.value;
  }
}
