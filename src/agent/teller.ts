import type { Logger } from 'pino';
import { toHoldfastError } from '../base/errors.ts';
import type { EventRing } from './agent.ts';

/** What happened, once into the log and once into the event ring, in one shape. */
export class Teller {
  readonly #events: EventRing;
  readonly #log: Logger;

  constructor(events: EventRing, log: Logger) {
    this.#events = events;
    this.#log = log;
  }

  /** Returns at once. An event that can't be kept (a full disk) is a warning, never anybody's failure. */
  tell(type: string, subject: string, message: string, level: 'info' | 'error' = 'info'): void {
    this.#log[level]({ type, subject }, message);
    this.#events.append({ type, subject, message }).catch((thrown: unknown) => {
      const { code, message: why } = toHoldfastError(thrown);
      if (code !== 'Unavailable') this.#log.warn({ type, subject, code }, `event not kept: ${why}`);
    });
  }
}
