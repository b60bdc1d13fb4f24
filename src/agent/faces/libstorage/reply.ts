import type { FastifyReply } from 'fastify';
import { serverNameOf } from './client.ts';

/**
 * Go's `json.MarshalIndent` with two spaces, and exactly its content type. As bytes, because
 * Fastify adds a charset to JSON text.
 */
export function sendJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .header('libstorage-servername', serverNameOf(reply.request))
    .send(Buffer.from(JSON.stringify(body, null, 2)));
}

/** 204: the reference names a content type though there is no content. */
export function sendNothing(reply: FastifyReply): FastifyReply {
  return reply
    .code(204)
    .header('content-type', 'application/json')
    .header('libstorage-servername', serverNameOf(reply.request))
    .send();
}

/** What Go's router says where no route is: also for a wrong method and an unknown action. */
export function sendUnrouted(reply: FastifyReply): FastifyReply {
  return reply
    .code(404)
    .header('content-type', 'text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send('404 page not found\n');
}
