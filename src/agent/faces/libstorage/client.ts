import type { FastifyRequest } from 'fastify';
import {
  parseInstanceId,
  parseLocalDevices,
  parseTransaction,
  type InstanceId,
} from './headers.ts';
import { WireError } from './wire-error.ts';

/** What one request's headers say about its sender. */
export interface Client {
  readonly serverName: string;
  readonly instanceIds: readonly InstanceId[];
}

/** Under this name the parsed headers travel with the request. */
export const CLIENT = 'libstorageClient';

/**
 * Every instance ID and list of local devices is a header line of its own. Node joins repeated lines
 * with commas, which are part of the grammar: only the distinct ones can be read.
 * @throws WireError 400
 */
export function readClient(request: FastifyRequest, serverName: string): Client {
  const lines = request.raw.headersDistinct;
  for (const line of lines['libstorage-tx'] ?? []) {
    if (!parseTransaction(line)) throw invalid('transaction', line);
  }
  const instanceIds = (lines['libstorage-instanceid'] ?? []).map((line) => {
    const id = parseInstanceId(line);
    if (id === undefined) throw invalid('InstanceID', line);
    return id;
  });
  for (const line of lines['libstorage-localdevices'] ?? []) {
    if (parseLocalDevices(line) === undefined) throw invalid('LocalDevices', line);
  }
  return { serverName, instanceIds };
}

export function clientOf(request: FastifyRequest): Client {
  return request.getDecorator<Client>(CLIENT);
}

export function serverNameOf(request: FastifyRequest): string {
  return clientOf(request).serverName;
}

/** A header line may be 1 MiB; an error needs to show its beginning only. */
const SHOWN_CHARS_MAX = 200;

function invalid(what: string, value: string): WireError {
  const shown = value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}…` : value;
  return new WireError(400, `invalid ${what}`, { value: shown });
}
