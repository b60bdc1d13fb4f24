/**
 * The HTTP server: one Fastify app with every HTTP face, behind a unix socket and, if asked, a
 * loopback TCP port. The listeners are ours and not Fastify's, because an app may have only one of
 * its own; both hand their requests to the same router.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { fastify, LogController, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { KiB, MiB } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';
import type { Agent } from './agent.ts';
import { agentApiFace } from './faces/agent-api/index.ts';
import { libstorageFace } from './faces/libstorage/index.ts';
import { measureHttp, metricsFace } from './faces/metrics/index.ts';
import { compileValidator, toRequestError } from './http-schema.ts';
import { parseListen, refuseBrowser, type TcpAddress } from './tcp-door.ts';
import { bindUnixSocket, listenOn } from './unix-socket.ts';

/** libStorage clients put their whole mount table into one header; Go's servers take 1 MiB. */
const HEADER_BYTES_MAX = 1 * MiB;
/** Any body but a kv value (1 MiB, the engine's own limit): a volume's fields are far below it. */
const BODY_BYTES_MAX = 2 * MiB;
/** A request must be here, head and body, within this: 2 MiB at 70 KiB/s. Ends slow-loris clients. */
const RECEIVE_DEADLINE_MS = 30_000;
/** mkfs and a preallocation of a big volume on a slow disk; past it the caller gets an answer. */
const HANDLER_DEADLINE_MS = 120_000;
/** Node looks for overdue requests this many times within their deadline; its own 30 s would double it. */
const RECEIVE_CHECKS = 4;
const KEEP_ALIVE_MS = 75_000;
/** Per listener: about 20 KiB each, so at most 20 MiB; descriptors stay below the usual 1024. */
const CONNECTIONS_MAX = 512;
/** A path segment: 128 bytes of a name are 384 bytes when each is percent-encoded. */
const PARAM_CHARS_MAX = 1 * KiB;
/** Within systemd's stop timeout and our own 10 s for SIGTERM. */
const CLOSE_DEADLINE_MS = 5_000;

export interface HttpServerOptions {
  readonly socketPath: string;
  /** Name or id of the group that may use the socket. */
  readonly group?: string | undefined;
  /** `host:port` of an extra listener on loopback; port 0 takes a free one. */
  readonly listen?: string | undefined;
  readonly log?: Logger | undefined;
  /** Default 30 s; tests can't wait so long. */
  readonly receiveDeadlineMs?: number | undefined;
}

export interface Listening {
  readonly socketPath: string;
  readonly tcp?: TcpAddress;
}

export interface HttpServer {
  readonly app: FastifyInstance;
  /** Resolves when requests are served. @throws ConfigInvalid, Locked, PermissionDenied */
  listen(): Promise<Listening>;
  /**
   * Takes no new connection, ends watch streams, lets running requests finish until the deadline,
   * then cuts what is left and removes the socket file. Idempotent.
   */
  close(deadlineMs?: number): Promise<void>;
}

export function createHttpServer(agent: Agent, options: HttpServerOptions): HttpServer {
  const stopping = new AbortController();
  const app = createApp(agent, options.log, stopping.signal);
  const { receiveDeadlineMs = RECEIVE_DEADLINE_MS } = options;
  const servers: Server[] = [];
  let removeSocket = async (): Promise<void> => undefined;
  let closed: Promise<void> | undefined;

  async function listen(): Promise<Listening> {
    // Read before anything is bound: a wrong address must not leave a socket behind.
    const address = options.listen === undefined ? undefined : parseListen(options.listen);
    await app.ready();
    const unix = createListener(app, () => undefined, receiveDeadlineMs);
    removeSocket = await bindUnixSocket(unix, options.socketPath, options.group);
    servers.push(unix);
    if (address === undefined) return { socketPath: options.socketPath };
    const tcp = createListener(app, refuseBrowser, receiveDeadlineMs);
    await listenOn(tcp, address).catch(async (cause: Error) => {
      await close(0);
      throw new HoldfastError('ConfigInvalid', `http.listen: ${cause.message}`, {
        hint: 'choose a free port',
        cause,
      });
    });
    servers.push(tcp);
    const { port } = tcp.address() as AddressInfo;
    return { socketPath: options.socketPath, tcp: { host: address.host, port } };
  }

  function close(deadlineMs: number = CLOSE_DEADLINE_MS): Promise<void> {
    closed ??= (async () => {
      stopping.abort();
      await removeSocket();
      await Promise.all(servers.map((server) => closeServer(server, deadlineMs)));
      await app.close();
    })();
    return closed;
  }

  return { app, listen, close };
}

function createApp(agent: Agent, log: Logger | undefined, stopping: AbortSignal): FastifyInstance {
  const app = fastify({
    ...(log === undefined ? { logger: false } : { loggerInstance: log }),
    // A line per request would write to the disk on every poll; failures are logged by the faces.
    logController: new LogController({ disableRequestLogging: true }),
    // A path that the router can't read never reaches a face.
    frameworkErrors: (error, _request, reply) => refuse(reply.raw, toRequestError(error)),
    bodyLimit: BODY_BYTES_MAX,
    handlerTimeout: HANDLER_DEADLINE_MS,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
  }) as unknown as FastifyInstance;
  app.setValidatorCompiler(compileValidator);
  // An answer during shutdown ends its connection, or keep-alive would hold the server open.
  app.addHook('onSend', async (_request, reply) => {
    if (stopping.aborted) reply.header('connection', 'close');
  });
  const metrics = measureHttp(app);
  void app.register(metricsFace, { agent, metrics });
  void app.register(agentApiFace, { agent, stopping });
  void app.register(libstorageFace, { agent });
  return app;
}

type Guard = (request: IncomingMessage) => HoldfastError | undefined;

function createListener(app: FastifyInstance, guard: Guard, receiveDeadlineMs: number): Server {
  // The last answer begun on each connection.
  const answers = new WeakMap<Duplex, ServerResponse>();
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      requestTimeout: receiveDeadlineMs,
      headersTimeout: receiveDeadlineMs,
      connectionsCheckingInterval: Math.ceil(receiveDeadlineMs / RECEIVE_CHECKS),
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => {
      answers.set(request.socket, response);
      const refusal = guard(request);
      if (refusal) refuse(response, refusal);
      else app.routing(request, response);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', (thrown: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket);
    const midway = answer?.headersSent && !answer.writableFinished;
    // Nothing may be written into the middle of another answer.
    if (midway || !socket.writable || thrown.code === 'ECONNRESET') socket.destroy();
    else answerClientError(clientError(thrown.code, receiveDeadlineMs), socket);
  });
  return server;
}

function refuse(response: ServerResponse, error: HoldfastError): void {
  response.writeHead(error.httpStatus, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(error));
}

/** Requests that Node's parser refused never reach the router: answered here, in our own shape. */
function answerClientError([status, error]: [string, HoldfastError], socket: Duplex): void {
  const text = JSON.stringify(error);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
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

function closeServer(server: Server, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), deadlineMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
