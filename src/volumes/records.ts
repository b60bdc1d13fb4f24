import { HoldfastError, messageOf } from '../base/errors.ts';
import type { Engine, KeyValue, Op } from '../engine/index.ts';
import { nameKey } from './name.ts';
import type { Volume } from './volume.ts';

/** A record with the revision that a later write must find unchanged. */
export interface Stored {
  readonly volume: Volume;
  readonly revision: number;
}

export function volumeKey(id: string): string {
  return `volumes/${id}`;
}

export function putVolume(volume: Volume): Op {
  return { type: 'put', key: volumeKey(volume.spec.id), value: encode(volume) };
}

export function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** `volumes/<id>` = the record as JSON; `names/<digest>` = the id that the name belongs to. */
export class Records {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async get(id: string): Promise<Stored | undefined> {
    const kv = await this.#engine.get(volumeKey(id));
    return kv && { volume: decode<Volume>(kv), revision: kv.modRevision };
  }

  async list(): Promise<readonly Stored[]> {
    const { kvs } = await this.#engine.list('volumes');
    return kvs.map((kv) => ({ volume: decode<Volume>(kv), revision: kv.modRevision }));
  }

  async idOfName(name: string): Promise<string | undefined> {
    const kv = await this.#engine.get(nameKey(name));
    return kv && Buffer.from(kv.value).toString();
  }

  /** Replaces a record outside any operation (adopting what the kernel says). @returns the new revision */
  async replace(stored: Stored, volume: Volume): Promise<Stored> {
    const key = volumeKey(volume.spec.id);
    const revision = await this.#engine.put(key, encode(volume), { ifRevision: stored.revision });
    return { volume, revision };
  }
}

/** @throws Corrupt */
export function decode<T>(kv: KeyValue): T {
  try {
    return JSON.parse(Buffer.from(kv.value).toString()) as T;
  } catch (cause) {
    throw new HoldfastError('Corrupt', `the record ${kv.key} is not JSON: ${messageOf(cause)}`, {
      cause,
      hint: "somebody wrote to the agent's own keys; restore the record from a replica",
    });
  }
}
