/**
 * Runs in a virtual host: puts one key after the other through the agent's socket, a few at a time, and prints
 * the number of each when the agent has answered. Ends when a put fails.
 */
import { callJson } from '../support/http-call.ts';

const SOCKET = '/run/holdfast/holdfast.sock';
const IN_FLIGHT = 4;
let last = 0;

async function putOneAfterTheOther(): Promise<void> {
  for (;;) {
    last += 1;
    const number = last;
    const path = `/agent/v1/kv?key=cut/${number}`;
    const headers = ['Content-Type', 'text/plain'];
    const { status, text } = await callJson(SOCKET, { method: 'PUT', path, headers, json: number });
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    process.stdout.write(`${number}\n`);
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, putOneAfterTheOther));
