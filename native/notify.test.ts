/** Goal: READY=1 arrives as one datagram. Method: python3 receives, as Node has no unix datagrams. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sdNotify } from './index.ts';
import { Scratch } from './scratch.ts';

const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('bound', flush=True)
if len(sys.argv) < 3:
    print(repr(s.recv(9000).decode()), flush=True)
else:
    sys.stdin.read()
`;

describe('sdNotify', () => {
  let scratch: Scratch;
  let receiver: ChildProcess | undefined;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => {
    receiver?.kill('SIGKILL');
    scratch[Symbol.dispose]();
  });

  async function receive(socket: string, ...mode: string[]): Promise<AsyncIterator<string>> {
    receiver = spawn('python3', ['-c', RECEIVER, socket, ...mode], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: receiver.stdout! })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('bound');
    return lines;
  }

  it.each(['path', 'abstract'])('reaches a socket with %s name', async (kind) => {
    const socket = kind === 'path' ? `${scratch.dir}/notify` : `@${scratch.dir}/notify`;
    const lines = await receive(socket);
    sdNotify(socket, 'READY=1\nSTATUS=üp');
    expect((await lines.next()).value).toBe("'READY=1\\nSTATUS=üp'");
  });

  it('throws instead of waiting when the queue is full', async () => {
    const socket = `${scratch.dir}/notify`;
    await receive(socket, 'deaf');
    expect(() => {
      for (let i = 0; i < 10_000; i++) sdNotify(socket, 'WATCHDOG=1');
    }).toThrow(expect.objectContaining({ code: 'EAGAIN', syscall: 'sendto', path: socket }));
  });

  it('throws the errno when nobody is there', async () => {
    const socket = `${scratch.dir}/notify`;
    expect(() => sdNotify(socket, 'READY=1')).toThrow(
      expect.objectContaining({ code: 'ENOENT', errno: -2 }),
    );
    await receive(socket);
    receiver!.kill('SIGKILL');
    await once(receiver!, 'exit');
    expect(() => sdNotify(socket, 'READY=1')).toThrow(
      expect.objectContaining({ code: 'ECONNREFUSED' }),
    );
    expect(() => sdNotify(`@${scratch.dir}`, 'READY=1')).toThrow(
      expect.objectContaining({ code: 'ECONNREFUSED' }),
    );
    unlinkSync(socket);
  });

  it('refuses names that no unix socket can have', () => {
    expect(() => sdNotify(`/${'x'.repeat(107)}`, 'X=1')).toThrow(
      expect.objectContaining({ code: 'ENAMETOOLONG' }),
    );
    expect(() => sdNotify('vsock:2:1', 'X=1')).toThrow(
      expect.objectContaining({ code: 'EAFNOSUPPORT' }),
    );
  });
});
