import { StringDecoder } from 'node:string_decoder';
import type { Duplex } from 'node:stream';
import { receive, send, type CommandReply, type Reply } from './wire.ts';

/** Output kept per stream of a command: the last of it. */
const OUTPUT_CHARS_MAX = 16 * 1024 * 1024;

export interface Result {
  /** As a shell tells it: 128 and the signal's number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs in the guest. */
export class Command {
  readonly text: string;
  /** Undefined when the host went off while it ran. */
  readonly exited: Promise<Result | undefined>;
  readonly #kill: () => void;
  readonly #onStdout: ((text: string) => void) | undefined;
  readonly #decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };
  readonly #output = { stdout: '', stderr: '' };
  #end: (result: Result | undefined) => void = () => undefined;

  constructor(text: string, kill: () => void, onStdout?: (text: string) => void) {
    this.text = text;
    this.#kill = kill;
    this.#onStdout = onStdout;
    this.exited = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  /** SIGKILL, for all that it started. */
  kill(): void {
    this.#kill();
  }

  /** For the channel only: what came of it; undefined when nothing will come any more. */
  take(reply: CommandReply | undefined): void {
    if (!reply) return this.#end(undefined);
    if (reply.type === 'exit') return this.#end({ code: reply.code, ...this.#output });
    const text = this.#decoders[reply.type].write(Buffer.from(reply.data, 'base64'));
    this.#output[reply.type] = (this.#output[reply.type] + text).slice(-OUTPUT_CHARS_MAX);
    if (reply.type === 'stdout') this.#onStdout?.(text);
  }
}

/** The test's end of the line to one guest (wire.ts). */
export class Channel {
  /** True when the guest takes commands, false when the line broke off before. */
  readonly ready: Promise<boolean>;
  readonly #line: Duplex;
  readonly #running = new Map<number, Command>();
  #lastId = 0;

  constructor(line: Duplex) {
    this.#line = line;
    // It breaks off with the power: that is told to those who wait.
    line.on('error', () => undefined);
    this.ready = new Promise((resolve) => {
      const lines = receive<Reply>(line, (reply) => {
        if (reply.type === 'ready') resolve(true);
        else this.#take(reply);
      });
      lines.once('close', () => {
        resolve(false);
        for (const command of this.#running.values()) command.take(undefined);
        this.#running.clear();
      });
    });
  }

  #take(reply: CommandReply): void {
    this.#running.get(reply.id)?.take(reply);
    if (reply.type === 'exit') this.#running.delete(reply.id);
  }

  start(text: string, onStdout?: (text: string) => void): Command {
    this.#lastId += 1;
    const id = this.#lastId;
    const command = new Command(text, () => send(this.#line, { type: 'kill', id }), onStdout);
    this.#running.set(id, command);
    send(this.#line, { type: 'start', id, command: text });
    return command;
  }
}
