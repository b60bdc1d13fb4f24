import {
  Client,
  connectivityState,
  credentials,
  type ChannelCredentials,
  type ChannelOptions,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { HoldfastError } from '../../../base/errors.ts';
import { Sockets } from './sockets.ts';

/** TCP, TLS and HTTP/2 settings; an endpoint that needs longer counts as dead, the next one is tried. */
const CONNECT_TIMEOUT_MS = 5000;

const CHANNEL_OPTIONS: ChannelOptions = {
  // A range answer may be larger than gRPC's 4 MiB: we bound it by asking for small pages.
  'grpc.max_receive_message_length': -1,
  // Below 5 s, or without an open call, the server cuts us off with too_many_pings.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 0,
  // The library must not repeat a write behind our back.
  'grpc.enable_retries': 0,
  // Neither a proxy from the environment nor DNS TXT records decide where our data goes.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // Sockets of our own: closed when we close, and no other client's backoff holds us up.
  'grpc.use_local_subchannel_pool': 1,
};

/** PEM. */
export interface TlsMaterial {
  /** Absent: the authorities that Node trusts. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

/** One etcd member: connects when first used, and anew after `close`. */
export class Connection {
  /** As configured, for messages. */
  readonly endpoint: string;
  readonly #address: string;
  readonly #credentials: ChannelCredentials;
  readonly #sockets: Sockets;
  #client: Client | undefined;

  /** @throws ConfigInvalid for an endpoint or TLS material that can't be right. */
  constructor(endpoint: string, tls: TlsMaterial | undefined) {
    this.endpoint = endpoint;
    const url = parseEndpoint(endpoint, tls !== undefined);
    this.#address = url.host;
    this.#credentials = url.secure
      ? secureCredentials(tls, endpoint)
      : credentials.createInsecure();
    this.#sockets = new Sockets(this.#credentials);
  }

  /**
   * Resolves when HTTP/2 is set up: until then nothing of a request can have left. Also resolves when
   * the connection surely failed: the next call then says why.
   * @throws NotReachable after CONNECT_TIMEOUT_MS, Cancelled
   */
  async connect(signal: AbortSignal): Promise<void> {
    const channel = this.#open().getChannel();
    const deadline = Date.now() + CONNECT_TIMEOUT_MS;
    for (;;) {
      if (signal.aborted)
        throw new HoldfastError('Cancelled', `etcd at ${this.endpoint}: call cancelled`);
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE)
        return;
      if (Date.now() >= deadline) {
        throw new HoldfastError(
          'NotReachable',
          `etcd at ${this.endpoint}: no HTTP/2 connection within ${CONNECT_TIMEOUT_MS / 1000} s`,
        );
      }
      await changedOrAborted(channel, state, deadline, signal);
    }
  }

  /** One unary call. @throws ServiceError as gRPC gives it */
  call<Request extends object, Response>(
    method: MethodDefinition<object, object>,
    request: Request,
    metadata: Metadata,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#open().makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, response?: object) => {
          signal.removeEventListener('abort', cancel);
          if (error) reject(error);
          else resolve(response as Response);
        },
      );
      const cancel = (): void => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    });
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#sockets.close();
  }

  #open(): Client {
    this.#sockets.open();
    this.#client ??= new Client(this.#address, this.#credentials, CHANNEL_OPTIONS);
    return this.#client;
  }
}

type Channel = ReturnType<Client['getChannel']>;

function changedOrAborted(
  channel: Channel,
  state: connectivityState,
  deadline: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    // It calls back with an error at the deadline; the caller looks at the clock itself.
    channel.watchConnectivityState(state, deadline, done);
  });
}

function parseEndpoint(endpoint: string, tls: boolean): { host: string; secure: boolean } {
  const text = endpoint.includes('://') ? endpoint : `${tls ? 'https' : 'http'}://${endpoint}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const known = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (!url || !known || url.hostname === '' || !/^\/?$/.test(url.pathname) || url.username !== '') {
    throw new HoldfastError(
      'ConfigInvalid',
      `sync endpoint "${endpoint}" is not host:port or http(s)://host:port`,
      {
        hint: 'for example 10.0.0.5:2379 or https://etcd.example:2379',
      },
    );
  }
  const secure = url.protocol === 'https:';
  // URL drops a port that is its scheme's default; etcd's own default is 2379.
  const explicit = /:(\d+)\/?$/.exec(text)?.[1];
  return { host: `${url.hostname}:${explicit ?? '2379'}`, secure };
}

function secureCredentials(tls: TlsMaterial | undefined, endpoint: string): ChannelCredentials {
  try {
    return credentials.createSsl(tls?.ca ?? null, tls?.key ?? null, tls?.cert ?? null);
  } catch (cause) {
    throw new HoldfastError(
      'ConfigInvalid',
      `TLS material for ${endpoint} can't be used: ${String(cause)}`,
      {
        hint: 'caFile, certFile and keyFile are PEM files; certFile and keyFile come together',
        cause,
      },
    );
  }
}
