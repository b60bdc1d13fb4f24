/** How far `kv check` is, for whoever waits for it. */
import type { InspectOptions } from '../../engine/index.ts';

/** Between two lines where each stays: a check of a million keys takes half a minute. */
const LINE_MS = 3000;

const STAGES = {
  copy: 'copying the store',
  files: 'checking its files',
  records: 'reading its records',
} as const;

export class CheckProgress implements Pick<InspectOptions, 'onStage' | 'onProgress'> {
  readonly #stream: NodeJS.WriteStream;
  readonly #seen = new Map<string, number>();
  #toldMs = 0;
  #width = 0;

  /** On a terminal one line that is written over. @returns undefined when nobody wants to know */
  static to(stream: NodeJS.WriteStream, isAsked: boolean): CheckProgress | undefined {
    return stream.isTTY || isAsked ? new CheckProgress(stream) : undefined;
  }

  private constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly onStage = (stage: keyof typeof STAGES): void => this.#tell(STAGES[stage]);

  readonly onProgress = (table: string, entries: number): void => {
    this.#seen.set(table, (this.#seen.get(table) ?? 0) + entries);
    if (!this.#stream.isTTY && performance.now() - this.#toldMs < LINE_MS) return;
    const counts = [...this.#seen].map(([name, count]) => `${name} ${count}`);
    this.#tell(`${STAGES.records}: ${counts.join(', ')}`);
  };

  /** The report begins on a clean line. */
  end(): void {
    if (this.#stream.isTTY) this.#stream.write(`\r${' '.repeat(this.#width)}\r`);
  }

  #tell(text: string): void {
    this.#toldMs = performance.now();
    const line = text.padEnd(this.#width);
    this.#width = text.length;
    this.#stream.write(this.#stream.isTTY ? `\r${line}` : `${text}\n`);
  }
}
