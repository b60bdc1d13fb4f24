/** Two ways to do the same work, in turns, and what came out. */

export interface Compared {
  /** Median of the ratios of each round, ours to the peer's. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** Medians, a second. */
  readonly ours: number;
  readonly peer: number;
}

/** @returns how much was done */
export type Slice = (ms: number) => Promise<number>;

/**
 * Round by round ours and the peer's, who begins changes: a noisy moment of the machine meets both, and the
 * median leaves out the rounds where it met one.
 */
export async function inTurns(
  rounds: number,
  sliceMs: number,
  ours: Slice,
  peer: Slice,
): Promise<Compared> {
  const rates: { ours: number; peer: number }[] = [];
  // The first slices compile and warm the caches; they are not counted.
  await rateOf(ours, sliceMs / 2);
  await rateOf(peer, sliceMs / 2);
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await rateOf(ours, sliceMs);
      rates.push({ ours: first, peer: await rateOf(peer, sliceMs) });
    } else {
      const first = await rateOf(peer, sliceMs);
      rates.push({ peer: first, ours: await rateOf(ours, sliceMs) });
    }
  }
  const ratios = rates.map((rate) => rate.ours / rate.peer);
  return {
    ratio: median(ratios),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    ours: Math.round(median(rates.map((rate) => rate.ours))),
    peer: Math.round(median(rates.map((rate) => rate.peer))),
  };
}

/** A second. */
export async function rateOf(slice: Slice, ms: number): Promise<number> {
  const startedAt = performance.now();
  const done = await slice(ms);
  return (done * 1000) / (performance.now() - startedAt);
}

export function median(numbers: readonly number[]): number {
  return percentile(numbers, 0.5);
}

/** @param share 0..1 */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
