/**
 * The HTTP server: one Fastify app with every HTTP face, behind a unix socket and, if asked, a
 * loopback TCP port. The listeners are ours and not Fastify's, because an app may have only one of
 * its own; both hand their requests to the same router.
 */
import { setMaxListeners } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fastify, LogController, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { KiB, MiB } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';
import type { Agent } from './agent.ts';
import { agentApiFace } from './faces/agent-api/index.ts';
import { libstorageFace } from './faces/libstorage/index.ts';
import { measureHttp, metricsFace } from './faces/metrics/index.ts';
import { Listener, refuse, type ListenerOptions } from './http-listener.ts';
import { compileValidator, toRequestError } from './http-schema.ts';
import { parseListen, refuseBrowser, type TcpAddress } from './tcp-door.ts';
import { bindUnixSocket, listenOn } from './unix-socket.ts';

/** Any body but a kv value (1 MiB, the engine's own limit): a volume's fields are far below it. */
const BODY_BYTES_MAX = 2 * MiB;
/** mkfs and a preallocation of a big volume on a slow disk; past it the caller gets an answer. */
const HANDLER_DEADLINE_MS = 120_000;
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
  // Each open watch listens to it.
  setMaxListeners(0, stopping.signal);
  const app = createApp(agent, options.log, stopping.signal);
  const listeners: Listener[] = [];
  let removeSocket = async (): Promise<void> => undefined;
  let closed: Promise<void> | undefined;

  function addListener(guard?: ListenerOptions['guard']): Listener {
    const { receiveDeadlineMs, log } = options;
    const onError = (err: Error): void => log?.warn({ err }, 'a connection was not accepted');
    const listener = new Listener({ route: app.routing, guard, onError, receiveDeadlineMs });
    listeners.push(listener);
    return listener;
  }

  async function listen(): Promise<Listening> {
    // Read before anything is bound: a wrong address must not leave a socket behind.
    const address = options.listen === undefined ? undefined : parseListen(options.listen);
    await app.ready();
    const unix = addListener();
    removeSocket = await bindUnixSocket(unix.server, options.socketPath, options.group);
    if (address === undefined) return { socketPath: options.socketPath };
    const tcp = addListener(refuseBrowser);
    await listenOn(tcp.server, address).catch(async (cause: Error) => {
      await close(0);
      throw new HoldfastError('ConfigInvalid', `http.listen: ${cause.message}`, {
        hint: 'choose a free port',
        cause,
      });
    });
    const { port } = tcp.server.address() as AddressInfo;
    return { socketPath: options.socketPath, tcp: { host: address.host, port } };
  }

  function close(deadlineMs: number = CLOSE_DEADLINE_MS): Promise<void> {
    closed ??= (async () => {
      stopping.abort();
      await removeSocket();
      await Promise.all(listeners.map((listener) => listener.close(deadlineMs)));
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
