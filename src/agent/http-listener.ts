/**
 * One door of the HTTP server: it hands whole requests on, and answers or ends what isn't one. Every
 * limit of a connection is here.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { MiB } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';

/** libStorage clients put their whole mount table into one header; Go's servers take 1 MiB. */
const HEADER_BYTES_MAX = 1 * MiB;
/** A request must be here, head and body, within this: 2 MiB at 70 KiB/s. Ends slow-loris clients. */
const RECEIVE_DEADLINE_MS = 30_000;
/** Node looks for overdue requests this many times within their deadline; its own 30 s would double it. */
const RECEIVE_CHECKS = 4;
const KEEP_ALIVE_MS = 75_000;
/** About 20 KiB each, so at most 20 MiB with two listeners; descriptors stay below the usual 1024. */
const CONNECTIONS_MAX = 512;

export interface ListenerOptions {
  readonly route: (request: IncomingMessage, response: ServerResponse) => void;
  /** Why a request is refused before it is routed. */
  readonly guard?: ((request: IncomingMessage) => HoldfastError | undefined) | undefined;
  /** Told when a connection can't be accepted (no buffers, no memory): the server goes on. */
  readonly onError?: ((error: Error) => void) | undefined;
  /** Default 30 s; tests can't wait so long. */
  readonly receiveDeadlineMs?: number | undefined;
}

export class Listener {
  /** For `listen` only. */
  readonly server: Server;
  readonly #receiveDeadlineMs: number;
  /** Connections that no request came on yet. Go's clients open some in advance; Node takes them for busy. */
  readonly #unused = new Set<Duplex>();
  /** The last answer begun on each connection. */
  readonly #answers = new WeakMap<Duplex, ServerResponse>();
  #closing = false;

  constructor({ route, guard, onError, receiveDeadlineMs = RECEIVE_DEADLINE_MS }: ListenerOptions) {
    this.#receiveDeadlineMs = receiveDeadlineMs;
    const options = {
      maxHeaderSize: HEADER_BYTES_MAX,
      requestTimeout: receiveDeadlineMs,
      headersTimeout: receiveDeadlineMs,
      connectionsCheckingInterval: Math.ceil(receiveDeadlineMs / RECEIVE_CHECKS),
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    this.server = createServer(options, (request, response) => {
      this.#unused.delete(request.socket);
      this.#answers.set(request.socket, response);
      const refusal = guard?.(request);
      if (refusal) refuse(response, refusal);
      else route(request, response);
    });
    this.server.maxConnections = CONNECTIONS_MAX;
    // An error before it listens is the caller's; one after it, unheard, would end the process.
    this.server.on('error', (error) => {
      if (this.server.listening) onError?.(error);
    });
    this.server.on('connection', (socket) => this.#accept(socket));
    this.server.on('clientError', (thrown: NodeJS.ErrnoException, socket) => {
      this.#answerClientError(thrown.code, socket);
    });
  }

  /** Takes no new connection, lets running requests finish until the deadline, then cuts what is left. */
  close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    return new Promise((resolve) => {
      const cut = setTimeout(() => this.server.closeAllConnections(), deadlineMs);
      this.server.close(() => {
        clearTimeout(cut);
        resolve();
      });
      this.server.closeIdleConnections();
      for (const socket of this.#unused) socket.destroy();
    });
  }

  #accept(socket: Duplex): void {
    if (this.#closing) return void socket.destroy();
    this.#unused.add(socket);
    socket.once('close', () => this.#unused.delete(socket));
  }

  /** Requests that Node's parser refused never reach the router: answered here, in our own shape. */
  #answerClientError(code: string | undefined, socket: Duplex): void {
    const answer = this.#answers.get(socket);
    const midway = answer?.headersSent && !answer.writableFinished;
    // Nothing may be written into the middle of another answer.
    if (midway || !socket.writable || code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const [status, error] = clientError(code, this.#receiveDeadlineMs);
    const text = JSON.stringify(error);
    socket.end(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    );
  }
}

export function refuse(response: ServerResponse, error: HoldfastError): void {
  response.writeHead(error.httpStatus, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(error));
}

function clientError(code: string | undefined, receiveDeadlineMs: number): [string, HoldfastError] {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const message = `the request's headers are larger than ${HEADER_BYTES_MAX / MiB} MiB`;
    return ['431 Request Header Fields Too Large', new HoldfastError('TooLarge', message)];
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const message = `the request was not complete within ${receiveDeadlineMs / 1000} s`;
    return ['408 Request Timeout', new HoldfastError('DeadlineExceeded', message)];
  }
  const message = `this isn't an HTTP/1.1 request (${code ?? 'unknown reason'})`;
  return ['400 Bad Request', new HoldfastError('InvalidArgument', message)];
}
