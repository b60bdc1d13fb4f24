import { isUtf8 } from 'node:buffer';
import { styleText } from 'node:util';
import { HoldfastError, toHoldfastError } from '../../base/errors.ts';

export type Format = 'table' | 'json';

/** Data goes to stdout; `json` is stable and meant for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Columns padded to their widest cell; no trailing blanks. */
export function table(header: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const widths = header.map((title, i) =>
    Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell + ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(cell))))
      .join('  ')
      .trimEnd();
  return [line(header), ...rows.map(line)].map((text) => `${text}\n`).join('');
}

/** With `fit` the last column gives way, so that lines are as wide as the terminal, or 80. */
export function printTable(
  header: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  fit?: 'fit',
): void {
  const text = table(header, rows);
  if (fit === undefined) return void process.stdout.write(text);
  const columns = terminalColumns();
  const lines = text.split('\n').map((line) => cut(line, columns));
  process.stdout.write(lines.join('\n'));
}

/** Lines as wide as the terminal, broken between words, the second and later ones indented. */
export function printLines(indent: string, texts: readonly string[]): void {
  for (const text of texts) {
    let line = indent;
    for (const word of printable(text).split(' ')) {
      if (line.trim() !== '' && width(line) + width(word) >= terminalColumns()) {
        process.stdout.write(`${line}\n`);
        line = `${indent}  `;
      }
      line += line.trim() === '' ? word : ` ${word}`;
    }
    process.stdout.write(`${line}\n`);
  }
}

const COLUMNS_DEFAULT = 80;

function terminalColumns(): number {
  const asked = Number(process.env['COLUMNS']);
  return asked > 0 ? asked : (process.stdout.columns ?? COLUMNS_DEFAULT);
}

/** At most so many cells, the last one `…` when something is missing. */
export function cut(text: string, cells: number): string {
  const characters = Array.from(graphemes.segment(text), ({ segment }) => segment);
  return characters.length <= cells ? text : `${characters.slice(0, cells - 1).join('')}…`;
}

/** `key: value` lines, aligned. */
export function printFields(
  fields: ReadonlyArray<readonly [string, string | number | undefined]>,
): void {
  const known = fields.filter((field) => field[1] !== undefined && field[1] !== '');
  const widest = Math.max(...known.map(([name]) => name.length)) + 1;
  for (const [name, value] of known) {
    process.stdout.write(`${`${name}:`.padEnd(widest)} ${printable(String(value))}\n`);
  }
}

/** Talk, not data: stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The error with its code and next step on stderr; the exit code it stands for. */
export function reportError(thrown: unknown, format: Format): number {
  const error = toHoldfastError(thrown);
  if (format === 'json') {
    process.stderr.write(`${JSON.stringify({ error: error.toJSON() })}\n`);
    return error.exitCode;
  }
  const colour = process.stderr.isTTY && process.env['NO_COLOR'] === undefined;
  const head = `holdfast: ${error.code}:`;
  // A wrong configuration has a line for each problem.
  const lines = error.message.split('\n').map(printable);
  say(`${colour ? styleText('red', head) : head} ${lines.join('\n  ')}`);
  if (error.hint !== undefined) say(`  hint: ${printable(error.hint)}`);
  if (error.code === 'Internal' && !(thrown instanceof HoldfastError)) say(String(error.stack));
  return error.exitCode;
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

function escaped(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** Names may hold any UTF-8: control characters never reach the terminal. */
export function printable(text: string): string {
  return text.replace(CONTROL, escaped);
}

/** As our API shows bytes: base64, and as text where they are UTF-8. */
export function bytesBody(bytes: Uint8Array): { value: string; text?: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value = buffer.toString('base64');
  return isUtf8(buffer) ? { value, text: buffer.toString('utf8') } : { value };
}

const PREVIEW_CHARS = 60;

/** A value on one line, or how large it is. */
export function preview(kv: { readonly text?: string; readonly value?: string }): string {
  if (kv.text === undefined) return `(${Buffer.from(kv.value ?? '', 'base64').length} bytes)`;
  const text = printable(kv.text);
  return text.length <= PREVIEW_CHARS ? text : `${text.slice(0, PREVIEW_CHARS)}…`;
}

const graphemes = new Intl.Segmenter();

/** Terminal cells, near enough: what a person sees as one character, East Asian ones counted as one, too. */
function width(text: string): number {
  return Array.from(graphemes.segment(text)).length;
}
