import { status, type ServiceError } from '@grpc/grpc-js';
import { HoldfastError, type ErrorCode, type Retry } from '../../../base/errors.ts';

interface Meaning {
  readonly text: string;
  readonly code: ErrorCode;
  readonly retry?: Retry;
  readonly hint?: string;
}

/* The text first, the code second: ResourceExhausted alone is quota, size, haste and pings, and some
   errors arrive as Unknown with nothing but their text (rpctypes/error.go of etcd 3.4 to 3.7). */
const MEANINGS: readonly Meaning[] = [
  {
    text: 'database space exceeded',
    code: 'NoSpace',
    hint: 'compact and defragment etcd, then `etcdctl alarm disarm`; or raise --quota-backend-bytes',
  },
  {
    text: 'request is too large',
    code: 'TooLarge',
    hint: "etcd's --max-request-bytes is the limit (1.5 MiB unless set)",
  },
  { text: 'received message larger than max', code: 'TooLarge' },
  { text: 'too many operations in txn request', code: 'TooLarge' },
  { text: 'too many requests', code: 'Unavailable', retry: 'later' },
  { text: 'Bandwidth exhausted', code: 'NotReachable' },
  { text: 'not supported for learner', code: 'NotReachable' },
  {
    text: 'permission denied',
    code: 'PermissionDenied',
    retry: 'later',
    hint: 'grant the user readwrite on the subtree: etcdctl role grant-permission --prefix=true …',
  },
  {
    text: 'authentication failed',
    code: 'PermissionDenied',
    retry: 'later',
    hint: 'check username and passwordFile of the sync target',
  },
  {
    text: 'password was given for no password user',
    code: 'PermissionDenied',
    retry: 'later',
    hint: 'this etcd user has no password: use a client certificate instead',
  },
  {
    text: 'user name is empty',
    code: 'PermissionDenied',
    retry: 'later',
    hint: 'etcd has authentication on: set username and passwordFile of the sync target',
  },
  { text: 'invalid auth token', code: 'PermissionDenied', retry: 'later' },
  { text: 'revision of auth store is old', code: 'PermissionDenied', retry: 'later' },
  { text: 'has been compacted', code: 'Compacted' },
  {
    text: 'corrupt cluster',
    code: 'Corrupt',
    retry: 'later',
    hint: 'etcd raised its CORRUPT alarm',
  },
];

/** Came before the call had any effect, and a new token may cure it: etcd's own words for it. */
const TOKEN_TEXTS = ['invalid auth token', 'revision of auth store is old', 'user name is empty'];

export function isTokenError(error: ServiceError): boolean {
  return TOKEN_TEXTS.some((text) => error.details.includes(text));
}

export function isAuthOff(error: ServiceError): boolean {
  return error.details.includes('authentication is not enabled');
}

/**
 * TCP works, HTTP/2 doesn't come up: another program, or the other one of TLS and plain text. Whether the
 * end of such a connection is seen as an end or as a reset is a matter of which packet comes first.
 */
const NO_HTTP2 = /no connection: (Failed to connect|Protocol error|\w+ ECONNRESET|\w+ EPIPE)/;
const NO_HTTP2_HINT =
  'something listens there that does not speak as an etcd would: is it the client port (2379), ' +
  'and should the endpoint be https:// (or http://)?';

const TLS_WORDS = /certificate|self.signed|TLS|SSL|issuer|altnames|alert/i;
const TLS_HINT =
  'check tls.caFile, tls.certFile and tls.keyFile of the sync target, and whether the endpoint speaks TLS';

/**
 * A failed call as one of ours, the endpoint named. NotReachable means that nobody can say whether a
 * write was done; the caller's transaction has to tell.
 */
export function toEtcdError(error: ServiceError, endpoint: string): HoldfastError {
  const words = inPlainWords(error.details || error.message);
  const said = `etcd at ${endpoint}: ${words}`;
  const meaning = MEANINGS.find(({ text }) => error.details.includes(text));
  if (meaning) {
    return new HoldfastError(meaning.code, said, {
      hint: meaning.hint,
      cause: error,
      ...(meaning.retry === undefined ? {} : { retry: meaning.retry }),
    });
  }
  if (error.code === status.CANCELLED)
    return new HoldfastError('Cancelled', said, { cause: error });
  if (error.code === status.INVALID_ARGUMENT && error.details.startsWith('etcdserver:')) {
    return new HoldfastError('InvalidArgument', said, { cause: error });
  }
  if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) {
    const noHttp2 = NO_HTTP2.test(words) ? NO_HTTP2_HINT : undefined;
    const hint = TLS_WORDS.test(words) ? TLS_HINT : noHttp2;
    return new HoldfastError('NotReachable', said, { hint, cause: error });
  }
  if (/etcdserver:|auth:/.test(error.details)) {
    return new HoldfastError('Unavailable', said, { cause: error });
  }
  return new HoldfastError('NotReachable', `${said} (that is not how etcd answers)`, {
    hint: 'is this the client port (2379) of an etcd v3 server?',
    cause: error,
  });
}

/** Without the library's own frame: its time stamp would make each failure look like a new one. */
function inPlainWords(details: string): string {
  const frame =
    /^No connection established\. Last error: (?:Error: )?(.*?)(?:\s+\(\d{4}-[^)]*Z\))?\. Resolution note: /s;
  const cause = frame.exec(details)?.[1];
  if (cause === undefined) return details;
  const openssl = /:SSL routines:[^:]*:([^:]+):/.exec(cause)?.[1];
  return `no connection: ${openssl ?? cause.trim()}`;
}
