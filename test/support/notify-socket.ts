import path from 'node:path';
import { Child } from './child.ts';

/** Prints each datagram as a line of JSON: Node has no unix datagrams. */
const RECEIVER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps('bound'), flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** What a service says to systemd (sd_notify(3)), received as systemd would: a unix datagram socket. */
export class NotifySocket implements AsyncDisposable {
  /** For NOTIFY_SOCKET. */
  readonly path: string;
  readonly #child: Child;

  private constructor(socket: string, child: Child) {
    this.path = socket;
    this.#child = child;
  }

  /** @param folder where the socket's file goes */
  static async open(folder: string): Promise<NotifySocket> {
    const socket = path.join(folder, 'notify');
    const child = await Child.start('python3', ['-c', RECEIVER, socket]);
    await child.waitUntil('the notify socket is bound', () => child.output.includes('"bound"'));
    return new NotifySocket(socket, child);
  }

  /** Everything that was said so far, in order. */
  get messages(): string[] {
    const lines = this.#child.output.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as string).slice(1);
  }

  waitFor(text: string): Promise<void> {
    return this.#child.waitUntil(`"${text}" was said`, () =>
      this.messages.some((message) => message.split('\n').includes(text)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}
