/**
 * Runs in a virtual host, on its first serial line: starts what the test asks for, sends back what it
 * prints as it comes, and its exit code (wire.ts). systemd starts it, see boot-files.ts.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { receive, send, type Reply, type Request } from './wire.ts';

/** A pipe holds 64 KiB, which are read in a few milliseconds. */
const LAST_OUTPUT_MS = 500;

const running = new Map<number, ChildProcess>();

function reply(message: Reply): void {
  send(process.stdout, message);
}

/** In a process group of its own: a `kill` reaches what the shell started. */
async function run(id: number, command: string): Promise<void> {
  const child = spawn('/bin/sh', ['-c', command], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.set(id, child);
  for (const type of ['stdout', 'stderr'] as const) {
    child[type].on('data', (bytes: Buffer) => {
      reply({ type, id, data: bytes.toString('base64') });
    });
  }
  const closed = once(child, 'close');
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  running.delete(id);
  // What was printed last comes in after the news of the end; a daemon left behind keeps the pipes for ever.
  await Promise.race([closed, sleep(LAST_OUTPUT_MS)]);
  reply({ type: 'exit', id, code: code ?? 128 + constants.signals[signal!] });
}

function kill(id: number): void {
  const pid = running.get(id)?.pid;
  if (pid !== undefined) process.kill(-pid, 'SIGKILL');
}

receive<Request>(process.stdin, (message) => {
  if (message.type === 'start') void run(message.id, message.command);
  else kill(message.id);
}).once('close', () => process.exit());

// A terminal echoes, edits and changes line ends; a line of messages must not.
if (process.stdin.isTTY) process.stdin.setRawMode(true);
reply({ type: 'ready' });
