import { GiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { CreateRequest } from '../../../volumes/index.ts';
import type { VolumeCreateRequest } from './schema.ts';

/** The reference's own, for clients that send no size (or 0, which means the same to them). */
const SIZE_DEFAULT_GIB = 1;

/** Clients send "" and 0 for what they leave to us. @throws NotSupported, InvalidArgument */
export function toCreateRequest(service: string, body: VolumeCreateRequest): CreateRequest {
  if (body.encrypted || body.encryptionKey) {
    throw new HoldfastError('NotSupported', `service "${service}" can't encrypt volumes`, {
      hint: 'leave out encrypted and encryptionKey',
    });
  }
  const opts = Object.entries(body.opts ?? {});
  return {
    name: body.name,
    service,
    sizeBytes: (body.size || SIZE_DEFAULT_GIB) * GiB,
    fields: Object.fromEntries(opts.map(([name, value]) => [name, goText(value)])),
    availabilityZone: body.availabilityZone || undefined,
    iops: body.iops || undefined,
    type: body.type || undefined,
  };
}

/** Deeper options have no use, and recursion needs an end. */
const OPTS_DEPTH_MAX = 8;

/** An option as Go's `%v` prints it: fields are text, and a Go client can't decode anything else. */
export function goText(value: unknown, depth = 0): string {
  if (depth > OPTS_DEPTH_MAX) {
    throw new HoldfastError(
      'InvalidArgument',
      `opts are nested deeper than ${OPTS_DEPTH_MAX} levels`,
    );
  }
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map((item) => goText(item, depth + 1)).join(' ')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
    return `map[${members.map(([name, item]) => `${name}:${goText(item, depth + 1)}`).join(' ')}]`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
