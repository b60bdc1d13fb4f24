/**
 * How many revisions that matter the target lacks, without reading the log twice: exact for what was
 * watched, an upper bound (all revisions count) for what lies before the watch began.
 */
export class LagMeter {
  #position = 0;
  #watchedFrom = 0;
  #seen = 0;
  #pending = 0;

  /** The watch sees everything after `revision`. */
  startWatching(revision: number): void {
    this.#watchedFrom = revision;
    this.#seen = Math.max(this.#seen, revision);
    this.#pending = 0;
  }

  /** From the watch. */
  saw(revision: number, matters: boolean): void {
    this.#seen = revision;
    if (matters && revision > this.#position) this.#pending += 1;
  }

  /** The target holds everything up to `position`, `revisions` of which mattered since the last call. */
  moved(position: number, revisions: number): void {
    this.#position = position;
    this.#pending = position >= this.#seen ? 0 : Math.max(0, this.#pending - revisions);
  }

  /** Replication starts again at `position`, which may be further back. */
  restarted(position: number): void {
    this.#position = position;
    this.#watchedFrom = this.#seen;
    this.#pending = 0;
  }

  get position(): number {
    return this.#position;
  }

  get revisions(): number {
    return Math.max(0, this.#watchedFrom - this.#position) + this.#pending;
  }

  /** … when the store is at `last`: what the watch has not shown yet may matter, so it counts. */
  revisionsUpTo(last: number): number {
    return this.revisions + Math.max(0, last - Math.max(this.#seen, this.#position));
  }
}
