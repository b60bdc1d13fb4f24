import { request } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

export interface Call {
  readonly method?: string;
  /** Sent as it is: nothing is folded or encoded. */
  readonly path: string;
  /** Flat, name after value, so that a name can be there twice: `['X', '1', 'X', '2']`. */
  readonly headers?: readonly string[];
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
  readonly text: string;
}

/** One request over a unix socket, or a TCP port of this host. A 205 keeps its body: `fetch` drops it. */
export function call(where: string | number, { method = 'GET', path, headers = [], body }: Call) {
  return new Promise<Answer>((resolve, reject) => {
    const target = typeof where === 'string' ? { socketPath: where } : { port: where };
    const hasHost = headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
    const all = hasHost ? [...headers] : ['Host', 'localhost', ...headers];
    // Without it Node says "chunked" for a POST that has no body; other clients don't.
    if (body !== undefined || method !== 'GET') {
      all.push('Content-Length', String(Buffer.byteLength(body ?? '')));
    }
    const outgoing = request(
      { ...target, method, path, headers: all, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const { statusCode: status = 0, headers: got } = response;
          resolve({ status, headers: got as Record<string, string>, bytes, text: String(bytes) });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface JsonCall extends Omit<Call, 'body'> {
  readonly json?: unknown;
}

/** The same with a JSON body, and the answer decoded. */
export async function callJson<T>(where: string | number, { json, ...options }: JsonCall) {
  const sent =
    json === undefined
      ? options
      : {
          ...options,
          headers: [...(options.headers ?? []), 'Content-Type', 'application/json'],
          body: JSON.stringify(json),
        };
  const answer = await call(where, sent);
  return { ...answer, json: (answer.text === '' ? undefined : JSON.parse(answer.text)) as T };
}

/** Whatever bytes, as they are; resolves with all that came back when the server ended the connection. */
export function callRaw(where: string | number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = typeof where === 'string' ? connect(where) : connect(where, '127.0.0.1');
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve(String(Buffer.concat(chunks))));
    socket.on('error', reject);
    socket.write(bytes);
  });
}

export interface OpenStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The next line, decoded; undefined when the server has ended the stream. */
  next(): Promise<unknown>;
  close(): void;
}

/** A stream of JSON lines, read one at a time: what isn't asked for stays with the server. */
export function openStream(socketPath: string, path: string): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, agent: false }, (response) => {
      const lines = createInterface({ input: response })[Symbol.asyncIterator]();
      const { statusCode: status = 0, headers } = response;
      resolve({
        status,
        headers: headers as Record<string, string>,
        next: async () => {
          const { done, value } = await lines.next();
          return done ? undefined : (JSON.parse(value) as unknown);
        },
        close: () => response.destroy(),
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
