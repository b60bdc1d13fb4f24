import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * The sockets behind a channel, so that closing it closes them. The library forgets a socket whose
 * HTTP/2 is not set up yet when its channel closes, and waits for unsent bytes on one that is: a server
 * that hangs would keep each of them open, one more per try. The hook is the library's own interior
 * (grpc-js 1.14); client.test.ts fails when it has moved.
 */
export class Sockets {
  readonly #open = new Set<Socket>();
  #closed = true;

  constructor(material: ChannelCredentials) {
    const create = material._createSecureConnector.bind(material);
    material._createSecureConnector = (...args) => {
      const connector = create(...args);
      const connect = connector.connect.bind(connector);
      connector.connect = (socket) => {
        this.#keep(socket);
        return this.#closed ? Promise.reject(new Error('channel closed')) : connect(socket);
      };
      return connector;
    };
  }

  /** A channel is about to be opened. */
  open(): void {
    this.#closed = false;
  }

  /** Also for the socket that is connected only after this. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#open) socket.destroy();
  }

  #keep(socket: Socket): void {
    if (this.#closed) return void socket.destroy();
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }
}
