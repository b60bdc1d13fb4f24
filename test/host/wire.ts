/**
 * What a virtual host and its guest say to each other over a serial line: one JSON object a line, in both
 * directions. What a command reads or prints is in base64, as it may be any bytes.
 */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** From the test to the guest. `id` names a command for as long as it runs. */
export type Request =
  | { readonly type: 'start'; readonly id: number; readonly command: string }
  | { readonly type: 'kill'; readonly id: number };

/** From the guest. `ready` is its first word: before it, nobody reads the line. */
export type Reply = { readonly type: 'ready' } | CommandReply;

export type CommandReply =
  | { readonly type: 'stdout' | 'stderr'; readonly id: number; readonly data: string }
  /** `code` as a shell tells it: 128 and the signal's number when a signal ended it. */
  | { readonly type: 'exit'; readonly id: number; readonly code: number };

export function send(line: Writable, message: Request | Reply): void {
  line.write(`${JSON.stringify(message)}\n`);
}

/** Calls `take` with every message, until the line ends. A line of another kind is noise of the kernel. */
export function receive<T extends Request | Reply>(line: Readable, take: (message: T) => void) {
  const lines = createInterface({ input: line, crlfDelay: Infinity });
  lines.on('line', (text) => {
    if (text.startsWith('{')) take(JSON.parse(text) as T);
  });
  // A line that is cut off is told by its end.
  lines.on('error', () => undefined);
  return lines;
}
