/** What a store was found to have wrong, counted by what it is; the first few in words. */

/** Messages kept: enough to see what kind of damage it is. */
const MESSAGES_MAX = 10;

export const FAULTS = ['half-visible', 'revision reused', 'watch', 'leases', 'log'] as const;
export type Fault = (typeof FAULTS)[number];

export class Check {
  #lost = 0;
  readonly #faults = noFaults();
  readonly #messages: string[] = [];

  lost(message: string): void {
    this.#lost += 1;
    this.#say(`lost: ${message}`);
  }

  broken(fault: Fault, message: string): void {
    this.#faults[fault] += 1;
    this.#say(`${fault}: ${message}`);
  }

  counts(): {
    readonly lost: number;
    readonly broken: number;
    readonly faults: Record<Fault, number>;
    readonly messages: readonly string[];
  } {
    const broken = FAULTS.reduce((sum, fault) => sum + this.#faults[fault], 0);
    return { lost: this.#lost, broken, faults: { ...this.#faults }, messages: this.#messages };
  }

  #say(message: string): void {
    if (this.#messages.length < MESSAGES_MAX) this.#messages.push(message);
  }
}

export function noFaults(): Record<Fault, number> {
  return { 'half-visible': 0, 'revision reused': 0, watch: 0, leases: 0, log: 0 };
}
