import { assert } from 'vitest';
import { HoldfastError } from '../../src/base/errors.ts';
import { MiB } from '../../src/base/bytes.ts';
import type { Volume } from '../../src/volumes/index.ts';
import type { Random } from './random.ts';
import { Died, type VolumeProcess } from './volume-process.ts';
import type { VolumeSite } from './volume-site.ts';

const STEADY = ['mount', 'unmount', 'attach', 'detach', 'remove'] as const;
type Verb = 'create' | (typeof STEADY)[number];

/** What is known of a slot from the answers so far. */
export interface Known {
  readonly volume: Volume | undefined;
  /** Begun, but not answered: it may be done or not. */
  readonly open: Verb | undefined;
}

/** One name that is created, used and removed at random until the worker dies, and what was acknowledged of it. */
export class Slot {
  /** Operations that were answered. */
  acknowledged = 0;
  readonly #site: VolumeSite;
  readonly #index: number;
  readonly #random: Random;
  #volume: Volume | undefined;
  #open: Verb | undefined;

  constructor(site: VolumeSite, index: number, random: Random) {
    this.#site = site;
    this.#index = index;
    this.#random = random;
  }

  async workUntilDeath(worker: VolumeProcess): Promise<void> {
    try {
      for (;;) {
        const verb = this.#volume ? STEADY[this.#random.below(STEADY.length)]! : 'create';
        this.#open = verb;
        await this.#do(worker, verb);
        this.#open = undefined;
        this.acknowledged += 1;
      }
    } catch (thrown) {
      if (!(thrown instanceof Died)) throw thrown;
    }
  }

  async #do(worker: VolumeProcess, verb: Verb): Promise<void> {
    const id = this.#volume?.spec.id ?? '';
    switch (verb) {
      case 'create': {
        const driver = this.#index % 3 === 0 ? 'dir' : 'loop';
        const size = driver === 'loop' ? { sizeBytes: 16 * MiB } : {};
        const request = { name: this.name, service: driver, ...size };
        this.#volume = await worker.call('create', request);
        return;
      }
      case 'mount':
        this.#volume = await worker.call('mount', id);
        this.#site.checkPayload(this.#volume);
        this.#site.writePayload(this.#volume);
        return;
      case 'attach':
        this.#volume = await worker.call('attach', id, { id: 'c', driver: 'd', service: 's' });
        return;
      case 'remove':
        return this.#remove(worker, id);
      default:
        this.#volume = await worker.call(verb, id);
    }
  }

  /** Refused while mounted, which changes nothing. */
  async #remove(worker: VolumeProcess, id: string): Promise<void> {
    try {
      await worker.call('remove', id);
      this.#volume = undefined;
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError) || thrown.code !== 'Conflict') throw thrown;
    }
  }

  get name(): string {
    return `Slot ${this.#index}`;
  }

  get known(): Known {
    return { volume: this.#volume, open: this.#open };
  }

  /** Goes on from what is there. @throws when it isn't what was acknowledged */
  settle(volumes: readonly Volume[], context: string): void {
    const found = volumes.find(({ spec }) => spec.name === this.name);
    const what = `${context}, ${this.name}, ${this.#open} was open`;
    assertKept(this.known, found, what);
    if (this.#open === undefined) {
      assert.strictEqual(found?.status.mountPoint, this.#volume?.status.mountPoint, what);
    }
    this.#volume = found;
  }
}

/** What was acknowledged is so, what was open is one or the other. */
export function assertKept({ volume, open }: Known, found: Volume | undefined, what: string): void {
  if (open === 'create') return;
  if (open === 'remove' && found === undefined) return;
  assert.deepEqual(found?.spec, volume?.spec, what);
}
