/** How long each part measures. */
export interface Plan {
  readonly rounds: number;
  readonly sliceMs: number;
  /** Keys of the stores that are written and read. */
  readonly keys: number;
  readonly listKeys: number;
  readonly bigKeys: number;
  readonly lonePuts: number;
}

export const FULL: Plan = {
  rounds: 7,
  sliceMs: 250,
  keys: 20_000,
  listKeys: 100_000,
  bigKeys: 1_000_000,
  lonePuts: 2000,
};

/** For a look while working on the engine: its ratios are noisier, and its big store is not one. */
export const QUICK: Plan = {
  rounds: 5,
  sliceMs: 150,
  keys: 20_000,
  listKeys: 20_000,
  bigKeys: 100_000,
  lonePuts: 500,
};
