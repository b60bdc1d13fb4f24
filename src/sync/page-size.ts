/** Pages begin this small: the first could be all values of the largest size. */
const FIRST_ITEMS = 16;

/** How many items to ask for, so that a page stays near a number of bytes; it at most doubles. */
export class PageSize {
  readonly #wantedBytes: number;
  readonly #maxItems: number;
  #items: number;

  constructor(wantedBytes: number, maxItems: number) {
    this.#wantedBytes = wantedBytes;
    this.#maxItems = maxItems;
    this.#items = Math.min(FIRST_ITEMS, maxItems);
  }

  get items(): number {
    return this.#items;
  }

  /** The last page held this much. */
  took(items: number, bytes: number): void {
    const fitting = Math.floor((items * this.#wantedBytes) / Math.max(1, bytes));
    this.#items = Math.max(1, Math.min(fitting, this.#items * 2, this.#maxItems));
  }
}
