import type { FastifyReply, FastifyRequest } from 'fastify';
import { toRequestError } from '../../http-schema.ts';
import { sendJson } from './reply.ts';
import { WireError } from './wire-error.ts';

/** A timed out request was 408 in the reference; clients of it know no 504. */
const REQUEST_TIMEOUT = 408;

/** `{message, status, error}`: what the Go client decodes for any status above 299. */
export async function answerError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (thrown instanceof WireError) {
    const { status, message, fields } = thrown;
    return sendJson(reply, status, { message, status, error: fields });
  }
  const error = toRequestError(thrown);
  if (error.code === 'NotFound') {
    const params = request.params as { service?: string; volume?: string };
    const resourceID = params.volume ?? params.service ?? '';
    const body = { message: 'resource not found', status: 404, error: { resourceID } };
    return sendJson(reply, 404, body);
  }
  const status = error.code === 'DeadlineExceeded' ? REQUEST_TIMEOUT : error.httpStatus;
  if (status >= 500) {
    const { method, routeOptions } = request;
    request.log.error(
      { code: error.code, method, route: routeOptions.url, err: error },
      'request failed',
    );
  }
  const { code, hint, retry } = error.toJSON();
  return sendJson(reply, status, { message: error.message, status, error: { code, hint, retry } });
}
