import { messageOf } from '../base/errors.ts';
import type { Ballast } from './ballast.ts';
import type { AgentCore } from './core.ts';
import type { Teller } from './teller.ts';

/** What its reasons are about. */
const FILES = 'store files';
const SPACE = 'store space';
const FOLDER = 'state folder';

/** Keeps the reasons why the store makes the agent degraded; it refuses nothing. */
export class StoreHealth {
  readonly #core: Pick<AgentCore, 'engine' | 'identity' | 'setReason'>;
  readonly #teller: Teller;
  readonly #ballast: Ballast;
  readonly #told = new Map<string, string>();

  constructor(
    core: Pick<AgentCore, 'engine' | 'identity' | 'setReason'>,
    teller: Teller,
    ballast: Ballast,
  ) {
    this.#core = core;
    this.#teller = teller;
    this.#ballast = ballast;
  }

  /** With each look at the host: a few stat(2). Writes only when something changed. */
  async look(): Promise<void> {
    const { problem, refusesPuts } = await this.#core.engine.stats();
    this.#judge(FILES, 'store.files-lost', problem);
    const full =
      'the disk of the store is full: only deletes are taken; free space, or delete keys';
    this.#judge(SPACE, 'store.full', refusesPuts ? full : undefined);
    this.#core.setReason(FOLDER, await this.#keepBallast());
  }

  #judge(subject: string, type: string, reason: string | undefined): void {
    this.#core.setReason(subject, reason);
    if (reason !== undefined && this.#told.get(subject) !== reason) {
      this.#teller.tell(type, this.#core.identity.replicaId, reason, 'error');
    }
    if (reason === undefined) this.#told.delete(subject);
    else this.#told.set(subject, reason);
  }

  /** Room for the next start; a disk too full to have it needs a person. */
  async #keepBallast(): Promise<string | undefined> {
    try {
      return await this.#ballast.restore();
    } catch (thrown) {
      return messageOf(thrown);
    }
  }
}
