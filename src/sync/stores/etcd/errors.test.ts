/**
 * Goal: what etcd and the gRPC library say becomes one of our codes by its text, in words without the
 * library's frame. The texts are those of etcd 3.4 to 3.7 (rpctypes/error.go) and of grpc-js 1.14.
 */
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { isAuthOff, isTokenError, toEtcdError } from './errors.ts';

function serviceError(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

describe('toEtcdError', () => {
  it.each([
    [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded', 'NoSpace', 'later'],
    [status.INVALID_ARGUMENT, 'etcdserver: request is too large', 'TooLarge', 'never'],
    [
      status.RESOURCE_EXHAUSTED,
      'grpc: received message larger than max (3000010 vs. 2097152)',
      'TooLarge',
      'never',
    ],
    [
      status.INVALID_ARGUMENT,
      'etcdserver: too many operations in txn request',
      'TooLarge',
      'never',
    ],
    [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests', 'Unavailable', 'later'],
    [
      status.RESOURCE_EXHAUSTED,
      'Bandwidth exhausted or memory limit exceeded',
      'NotReachable',
      'later',
    ],
    [status.PERMISSION_DENIED, 'etcdserver: permission denied', 'PermissionDenied', 'later'],
    [
      status.INVALID_ARGUMENT,
      'etcdserver: authentication failed, invalid user ID or password',
      'PermissionDenied',
      'later',
    ],
    [status.INVALID_ARGUMENT, 'etcdserver: user name is empty', 'PermissionDenied', 'later'],
    [status.UNAUTHENTICATED, 'etcdserver: invalid auth token', 'PermissionDenied', 'later'],
    [
      status.OUT_OF_RANGE,
      'etcdserver: mvcc: required revision has been compacted',
      'Compacted',
      'never',
    ],
    [status.DATA_LOSS, 'etcdserver: corrupt cluster', 'Corrupt', 'later'],
    [
      status.INVALID_ARGUMENT,
      'etcdserver: duplicate key given in txn request',
      'InvalidArgument',
      'never',
    ],
    [status.UNAVAILABLE, 'etcdserver: request timed out', 'NotReachable', 'later'],
    [status.UNAVAILABLE, 'etcdserver: leader changed', 'NotReachable', 'later'],
    [status.DEADLINE_EXCEEDED, 'Deadline exceeded', 'NotReachable', 'later'],
    [status.UNKNOWN, 'etcdserver: no such thing yet', 'Unavailable', 'later'],
    [status.CANCELLED, 'Cancelled on client', 'Cancelled', 'later'],
    [status.UNIMPLEMENTED, 'unknown service etcdserverpb.KV', 'NotReachable', 'later'],
  ] as const)('%i %s -> %s, retry %s', (code, details, expected, retry) => {
    const error = toEtcdError(serviceError(code, details), 'one:2379');
    expect(error).toMatchObject({ code: expected, retry });
    expect(error.message).toContain(`etcd at one:2379: ${details}`);
  });

  it('takes the frame of the library away, and its time', () => {
    const framed = (cause: string): string => `No connection established. Last error: ${cause}`;
    const message = (cause: string): string =>
      toEtcdError(serviceError(status.UNAVAILABLE, framed(cause)), 'one:2379').message;
    expect(message('Error: connect ECONNREFUSED 127.0.0.1:9. Resolution note: ')).toBe(
      'etcd at one:2379: no connection: connect ECONNREFUSED 127.0.0.1:9',
    );
    expect(message('Protocol error (2026-11-24T08:13:07.442Z). Resolution note: ')).toBe(
      'etcd at one:2379: no connection: Protocol error',
    );
    const alert =
      '80BC:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:' +
      '../deps/openssl/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 42\n' +
      ' (2026-11-24T08:12:30.253Z). Resolution note: ';
    expect(message(alert)).toBe('etcd at one:2379: no connection: sslv3 alert bad certificate');
  });

  it('has a next step where one is known', () => {
    const hint = (code: status, details: string): string | undefined =>
      toEtcdError(serviceError(code, details), 'one:2379').hint;
    const frame = (cause: string): string =>
      `No connection established. Last error: ${cause}. Resolution note: `;
    expect(
      hint(status.UNAVAILABLE, frame('Error: unable to verify the first certificate')),
    ).toMatch(/tls\.caFile/);
    for (const dropped of ['Failed to connect (2026-11-24T08:13:07.442Z)', 'read ECONNRESET'])
      expect(hint(status.UNAVAILABLE, frame(dropped))).toMatch(/https:\/\//);
    expect(hint(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded')).toMatch(
      /alarm disarm/,
    );
    expect(hint(status.UNIMPLEMENTED, 'unknown service')).toMatch(/client port/);
  });
});

describe('authentication errors', () => {
  it.each(['invalid auth token', 'revision of auth store is old', 'user name is empty'])(
    '"%s" asks for a new token',
    (text) => {
      expect(isTokenError(serviceError(status.UNAUTHENTICATED, `etcdserver: ${text}`))).toBe(true);
    },
  );

  it('a denied permission does not', () => {
    const denied = serviceError(status.PERMISSION_DENIED, 'etcdserver: permission denied');
    expect(isTokenError(denied)).toBe(false);
  });

  it('knows a server with authentication off', () => {
    const off = serviceError(
      status.FAILED_PRECONDITION,
      'etcdserver: authentication is not enabled',
    );
    expect(isAuthOff(off)).toBe(true);
  });
});
