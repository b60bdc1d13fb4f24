import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import type { MethodDefinition, PackageDefinition } from '@grpc/proto-loader';
import { systemClock } from '../../../base/clock.ts';
import { HoldfastError, messageOf } from '../../../base/errors.ts';
import { Connection, type TlsMaterial } from './connection.ts';
import { loadDefinition } from './definition.ts';
import { isAuthOff, isTokenError, toEtcdError } from './errors.ts';
import type {
  PutRequest,
  RangeRequest,
  RangeResponse,
  StatusResponse,
  TxnRequest,
  TxnResponse,
} from './messages.ts';

/** The server gives up on a request after 7 s; a shorter deadline would hide its own error. */
const CALL_TIMEOUT_MS = 10_000;
/** Rounds over all endpoints in one call; whoever wants more waits with a backoff of its own. */
const ROUNDS_MAX = 2;
/** Between two rounds, so that a cluster that elects a leader isn't hammered. */
const ROUND_PAUSE_MS = 50;

export interface EtcdClientOptions {
  /** `host:port` or `http(s)://host:port`, tried in turn. */
  readonly endpoints: readonly string[];
  readonly tls?: TlsMaterial | undefined;
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  readonly callTimeoutMs?: number | undefined;
}

/** What may be repeated on another endpoint: a read always, a write only when it surely never left. */
type Kind = 'read' | 'write';

/**
 * A thin etcd v3 client: unary calls with a deadline and an AbortSignal, endpoints in turn, one token.
 * Every error is a HoldfastError that names the endpoint. A failed write is never repeated here once
 * it may have left: make it a transaction that tells.
 */
export class EtcdClient {
  readonly endpoints: readonly string[];
  readonly #connections: readonly Connection[];
  readonly #auth: EtcdClientOptions['auth'];
  readonly #callTimeoutMs: number;
  readonly #definition: PackageDefinition = loadDefinition();
  #current = 0;
  /** One authentication for all who wait for it; undefined = none yet, '' = the server has auth off. */
  #token: Promise<string> | undefined;

  /** @throws ConfigInvalid */
  constructor(options: EtcdClientOptions) {
    if (options.endpoints.length === 0) {
      throw new HoldfastError('ConfigInvalid', 'an etcd target needs at least one endpoint', {
        hint: 'for example endpoints: ["10.0.0.5:2379"]',
      });
    }
    this.endpoints = options.endpoints;
    this.#connections = options.endpoints.map((endpoint) => new Connection(endpoint, options.tls));
    this.#auth = options.auth;
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS;
  }

  /** Linearizable unless `serializable`. */
  range(request: RangeRequest, signal: AbortSignal): Promise<RangeResponse> {
    return this.#call('KV/Range', request, 'read', signal);
  }

  async put(request: PutRequest, signal: AbortSignal): Promise<void> {
    await this.#call('KV/Put', request, 'write', signal);
  }

  txn(request: TxnRequest, signal: AbortSignal): Promise<TxnResponse> {
    return this.#call('KV/Txn', request, 'write', signal);
  }

  status(signal: AbortSignal): Promise<StatusResponse> {
    return this.#call('Maintenance/Status', {}, 'read', signal);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #call<T>(name: string, request: object, kind: Kind, signal: AbortSignal): Promise<T> {
    const failures: HoldfastError[] = [];
    for (let round = 1; ; round++) {
      const startedAt = systemClock.monoMs();
      for (let tried = 0; tried < this.#connections.length; tried++) {
        const connection = this.#connections[this.#current]!;
        try {
          return await this.#callWithToken<T>(connection, name, request, signal);
        } catch (thrown) {
          const failure = failureOf(thrown, connection.endpoint);
          if (failure.error.code === 'NotReachable') this.#dropCurrent(connection);
          const again =
            failure.unsent || (kind === 'read' && failure.error.code === 'NotReachable');
          if (!again || signal.aborted) throw failure.error;
          failures.push(failure.error);
        }
      }
      const slow = systemClock.monoMs() - startedAt > this.#callTimeoutMs / 2;
      if (round === ROUNDS_MAX || slow)
        throw noneAnswered(failures.slice(-this.#connections.length));
      await systemClock.sleep(ROUND_PAUSE_MS * (0.5 + Math.random()), signal);
    }
  }

  /** A fresh socket next time: the library would keep knocking on this one in the background. */
  #dropCurrent(connection: Connection): void {
    connection.close();
    if (this.#connections[this.#current] === connection) {
      this.#current = (this.#current + 1) % this.#connections.length;
    }
  }

  async #callWithToken<T>(
    connection: Connection,
    name: string,
    request: object,
    signal: AbortSignal,
  ): Promise<T> {
    await connection.connect(signal);
    const token = await this.#getToken(connection, signal);
    try {
      return await this.#callOnce<T>(connection, name, request, token, signal);
    } catch (thrown) {
      if (!this.#auth || !isServiceError(thrown) || !isTokenError(thrown)) throw thrown;
      // Refused before it had any effect, so a write may be repeated too; once.
      this.#token = undefined;
      const fresh = await this.#getToken(connection, signal);
      return this.#callOnce<T>(connection, name, request, fresh, signal);
    }
  }

  #getToken(connection: Connection, signal: AbortSignal): Promise<string> {
    if (!this.#auth) return Promise.resolve('');
    if (this.#token) return this.#token;
    const asked = this.#authenticate(connection, this.#auth, signal);
    this.#token = asked;
    asked.catch(() => {
      if (this.#token === asked) this.#token = undefined;
    });
    return asked;
  }

  async #authenticate(
    connection: Connection,
    auth: { readonly username: string; readonly password: string },
    signal: AbortSignal,
  ): Promise<string> {
    const request = { name: auth.username, password: auth.password };
    try {
      const name = 'Auth/Authenticate';
      const answer = await this.#callOnce<{ token: string }>(connection, name, request, '', signal);
      return answer.token;
    } catch (thrown) {
      if (isServiceError(thrown) && isAuthOff(thrown)) return '';
      // The call that needed the token never left, whatever became of this one.
      throw isServiceError(thrown)
        ? new UnsentError(toEtcdError(thrown, connection.endpoint))
        : thrown;
    }
  }

  #callOnce<T>(
    connection: Connection,
    name: string,
    request: object,
    token: string,
    signal: AbortSignal,
  ): Promise<T> {
    const metadata = new Metadata();
    if (token !== '') metadata.set('token', token);
    const method = this.#method(name);
    return connection.call<object, T>(method, request, metadata, this.#callTimeoutMs, signal);
  }

  #method(name: string): MethodDefinition<object, object> {
    const [service, method] = name.split('/');
    const definition = this.#definition[`etcdserverpb.${service}`] as
      | Record<string, MethodDefinition<object, object>>
      | undefined;
    const found = definition?.[method ?? ''];
    if (!found) throw new Error(`definition.ts has no ${name}`);
    return found;
  }
}

/** The endpoint failed before the actual request was sent. */
class UnsentError extends Error {
  readonly error: HoldfastError;

  constructor(error: HoldfastError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown;
}

function failureOf(thrown: unknown, endpoint: string): { error: HoldfastError; unsent: boolean } {
  if (thrown instanceof UnsentError) {
    return { error: thrown.error, unsent: thrown.error.code === 'NotReachable' };
  }
  // From `connect`: nothing but the connection was tried.
  if (thrown instanceof HoldfastError)
    return { error: thrown, unsent: thrown.code === 'NotReachable' };
  if (isServiceError(thrown)) {
    const neverLeft =
      thrown.code === status.UNAVAILABLE &&
      /^(No connection established|Name resolution failed)/.test(thrown.details);
    return { error: toEtcdError(thrown, endpoint), unsent: neverLeft };
  }
  // The request could not be encoded: our own mistake.
  const error = new HoldfastError('Internal', `etcd request: ${messageOf(thrown)}`, {
    cause: thrown,
  });
  return { error, unsent: false };
}

function noneAnswered(failures: readonly HoldfastError[]): HoldfastError {
  const [first] = failures;
  if (failures.length === 1 && first) return first;
  const each = failures.map((failure) => failure.message).join('; ');
  return new HoldfastError(
    'NotReachable',
    `none of ${failures.length} etcd endpoints answered: ${each}`,
    {
      hint: first?.hint,
      cause: first,
    },
  );
}
