/** Byte units, spelled as they are: powers of two. */
export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

const UNITS: ReadonlyArray<readonly [string, number]> = [
  ['TiB', TiB],
  ['GiB', GiB],
  ['MiB', MiB],
  ['KiB', KiB],
];

/** `1610612736` -> `1.5 GiB`, for people. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of UNITS) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}

const SIZE = /^(\d+(?:\.\d+)?)\s*(B|K|KiB|M|MiB|G|GiB|T|TiB)?$/i;
const FACTORS: Record<string, number> = { B: 1, K: KiB, M: MiB, G: GiB, T: TiB };

/** `10GiB`, `512M`, `1048576` -> bytes; undefined when it is not a size. K, M, G, T mean powers of two. */
export function parseBytes(text: string): number | undefined {
  const match = SIZE.exec(text.trim());
  if (!match?.[1]) return undefined;
  const unit = (match[2] ?? 'B').charAt(0).toUpperCase();
  const bytes = Number(match[1]) * (FACTORS[unit] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
