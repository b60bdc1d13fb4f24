/** Damage to a file, as disks do it: a flipped bit, a cut, pages that changed places, zeros, noise. */
import type { Random } from './random.ts';

export const PAGE_BYTES = 4096;
export const DAMAGE_KINDS = ['flip', 'cut', 'swap', 'zeros', 'noise'] as const;
export type DamageKind = (typeof DAMAGE_KINDS)[number];

export interface Damage {
  readonly kind: DamageKind;
  /** First byte that is another one, or the new length. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** @param at the nth of a series: the kinds take turns */
export function damage(bytes: Buffer, random: Random, nth: number): Damage {
  const kind = DAMAGE_KINDS[nth % DAMAGE_KINDS.length]!;
  const copy = Buffer.from(bytes);
  const page = random.below(Math.floor(bytes.length / PAGE_BYTES) - 1) * PAGE_BYTES;
  switch (kind) {
    case 'flip': {
      const at = random.below(bytes.length);
      copy[at]! ^= 1 << random.below(8);
      return { kind, at, bytes: copy };
    }
    case 'cut': {
      const at = random.below(bytes.length);
      return { kind, at, bytes: copy.subarray(0, at) };
    }
    case 'swap':
      bytes.copy(copy, page, page + PAGE_BYTES, page + 2 * PAGE_BYTES);
      bytes.copy(copy, page + PAGE_BYTES, page, page + PAGE_BYTES);
      return { kind, at: page, bytes: copy };
    case 'zeros':
      return { kind, at: page, bytes: copy.fill(0, page, page + PAGE_BYTES) };
    case 'noise': {
      const at = page + random.below(PAGE_BYTES - 32);
      return { kind, at, bytes: copy.fill(random.below(256), at, page + PAGE_BYTES) };
    }
  }
}
