import { request, type IncomingMessage } from 'node:http';
import { MiB } from '../../base/bytes.ts';
import { linesOf } from '../../base/lines.ts';
import { hasErrno, HoldfastError, isErrorCode, type ErrorBody } from '../../base/errors.ts';

/**
 * One line of a stream: the largest transaction (8 MiB) with what was there before, each as base64 and as
 * text in which every character is escaped.
 */
const LINE_CHARS_MAX = 128 * MiB;

export interface CallOptions {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly body?: Uint8Array | string | undefined;
  readonly headers?: Record<string, string>;
  /** Breaks the call off; what it throws then says nothing. */
  readonly signal?: AbortSignal;
}

/** Talks to the agent over its unix socket. Every call has a deadline. */
export class AgentClient {
  /** How long any one answer is waited for. */
  readonly timeoutMs: number;
  readonly #socket: string;

  constructor(socket: string, timeoutMs: number) {
    this.#socket = socket;
    this.timeoutMs = timeoutMs;
  }

  /** The decoded JSON answer. @throws HoldfastError with the agent's own code */
  async json<T>(path: string, options: CallOptions = {}): Promise<T> {
    const text = (await this.bytes(path, options)).toString('utf8');
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  send<T>(path: string, method: 'POST' | 'PUT' | 'DELETE', body?: unknown): Promise<T> {
    if (body === undefined) return this.json<T>(path, { method });
    const headers = { 'content-type': 'application/json' };
    return this.json<T>(path, { method, body: JSON.stringify(body), headers });
  }

  async bytes(path: string, options: CallOptions = {}): Promise<Buffer> {
    const deadline = AbortSignal.timeout(this.timeoutMs);
    const { signal } = options;
    const response = await this.#open(path, options, deadline, signal);
    // Of a call that can be broken off, `#open` has taken the deadline for its first byte.
    if (signal) deadline.addEventListener('abort', () => void response.destroy(), { once: true });
    try {
      return await readAll(response);
    } catch (thrown) {
      throw this.#explain(thrown, deadline);
    }
  }

  /**
   * The lines of a stream, until the signal aborts or the agent ends it. The deadline is for the first byte,
   * and for the silence between any two: the agent has to be asked to say something within it.
   */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string> {
    // An event that was is not heard any more.
    if (signal.aborted) return;
    const opening = AbortSignal.timeout(this.timeoutMs);
    const response = await this.#open(path, {}, opening, signal).catch((thrown: unknown) => {
      if (!signal.aborted) throw thrown;
      return undefined;
    });
    if (!response) return;
    const destroy = (): void => void response.destroy();
    const silence = new AbortController();
    const timer = setTimeout(() => {
      silence.abort();
      destroy();
    }, this.timeoutMs);
    try {
      for await (const line of linesOf(
        heard(response.setEncoding('utf8'), timer),
        LINE_CHARS_MAX,
      )) {
        if (line !== '') yield line;
      }
    } catch (thrown) {
      if (!signal.aborted) throw this.#explain(thrown, silence.signal);
    } finally {
      clearTimeout(timer);
      destroy();
    }
  }

  async #open(
    path: string,
    { method = 'GET', body, headers = {} }: CallOptions,
    deadline: AbortSignal,
    cancel?: AbortSignal,
  ): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request(
        {
          socketPath: this.#socket,
          path,
          method,
          headers: { ...headers, 'content-length': String(Buffer.byteLength(body ?? '')) },
        },
        resolve,
      );
      const abort = (): void => void outgoing.destroy(new Error('aborted'));
      deadline.addEventListener('abort', abort, { once: true });
      cancel?.addEventListener('abort', abort, { once: true });
      outgoing.on('response', () => cancel && deadline.removeEventListener('abort', abort));
      // The signal may outlive many streams.
      outgoing.once('close', () => cancel?.removeEventListener('abort', abort));
      outgoing.on('error', reject);
      outgoing.end(body);
    }).catch((thrown: unknown) => {
      throw this.#explain(thrown, deadline);
    });
    if ((response.statusCode ?? 500) < 300) return response;
    throw asError(response.statusCode ?? 500, await readAll(response));
  }

  #explain(thrown: unknown, deadline: AbortSignal): HoldfastError {
    if (deadline.aborted) {
      return new HoldfastError(
        'DeadlineExceeded',
        `no answer from the agent within ${this.timeoutMs / 1000} s`,
        {
          hint: 'the work may still go on: look with `holdfast status`; --timeout changes the limit',
          cause: thrown,
        },
      );
    }
    if (hasErrno(thrown, 'EACCES')) {
      return new HoldfastError(
        'PermissionDenied',
        `not allowed to use the socket ${this.#socket}`,
        {
          hint: 'run as root or as a member of the group in http.group',
          cause: thrown,
        },
      );
    }
    if (hasErrno(thrown, 'ENOENT') || hasErrno(thrown, 'ECONNREFUSED')) {
      return new HoldfastError('AgentNotRunning', `no agent answers at ${this.#socket}`, {
        hint: 'start it with `systemctl start holdfast` or `holdfast agent`, or name its socket with --socket',
        cause: thrown,
      });
    }
    return new HoldfastError('Unavailable', `the agent broke off the call: ${String(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The stream's chunks; each begins the timer anew. */
async function* heard(response: IncomingMessage, timer: NodeJS.Timeout): AsyncGenerator<string> {
  for await (const chunk of response) {
    timer.refresh();
    yield String(chunk);
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function asError(status: number, body: Buffer): HoldfastError {
  try {
    const parsed = JSON.parse(body.toString('utf8')) as Partial<ErrorBody>;
    if (isErrorCode(parsed.code) && typeof parsed.message === 'string') {
      return new HoldfastError(parsed.code, parsed.message, {
        hint: parsed.hint,
        ...(parsed.retry === undefined ? {} : { retry: parsed.retry }),
      });
    }
  } catch {
    // Not JSON: a server that isn't ours is told below with what it said.
  }
  const said = body.toString('utf8').slice(0, 200);
  return new HoldfastError('Internal', `unexpected answer ${status}: ${said}`);
}
