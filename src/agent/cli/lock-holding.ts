/** What the verbs that hold something (a lock, leadership) share. */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import {
  LEASE_TTL_SECONDS_MAX,
  lockQueue,
  type HeldLock,
  type KeyValue,
} from '../../engine/index.ts';
import { wholeNumber, type Context } from './context.ts';
import { bytesBody, preview, printFields, printJson } from './output.ts';
import { RemoteEngine } from './remote-engine.ts';

const TTL_SECONDS_DEFAULT = 10;

export interface HoldOptions {
  readonly ttl: number;
  readonly value?: string;
  readonly who?: boolean;
}

export function withHoldOptions(command: Command, valueHelp: string): Command {
  const ttl = wholeNumber(1, LEASE_TTL_SECONDS_MAX);
  return command
    .option('--ttl <seconds>', 'how long it outlives this process', ttl, TTL_SECONDS_DEFAULT)
    .option('--value <text>', `${valueHelp}; default host and pid`);
}

/** Reads and watches go on when the agent is back before the lock could have ended. */
export function engineOf({ client }: Context, ttlSeconds: number): RemoteEngine {
  return new RemoteEngine(client, Math.max(ttlSeconds * 1000, client.timeoutMs));
}

export function valueOf({ value }: HoldOptions): Uint8Array {
  return Buffer.from(value ?? `${hostname()} pid ${process.pid}`);
}

/** For the command. */
export function tokenOf({ fence, key }: HeldLock): Record<string, string> {
  return { HOLDFAST_LOCK_TOKEN: String(fence), HOLDFAST_LOCK_KEY: key };
}

/** For who holds it without a command. */
export function tellHeld({ format }: Context, name: string, { key, fence }: HeldLock): void {
  if (format === 'json') printJson({ name, key, token: fence });
  else
    printFields([
      ['key', key],
      ['token', fence],
    ]);
}

export function lostError(name: string, reason: unknown): HoldfastError {
  const why = reason instanceof HoldfastError ? reason.message : String(reason);
  return new HoldfastError('CannotLock', `${name} was lost: ${why}`, { cause: reason });
}

/** @throws NotFound when nobody is in it */
export async function tellQueue(context: Context, name: string, nobody: string): Promise<void> {
  const queue = await lockQueue(new RemoteEngine(context.client, 0), name);
  const [first] = queue;
  if (!first) throw new HoldfastError('NotFound', `${nobody} ${name}`);
  const body = holderBody(first);
  const waiting = queue.length - 1;
  if (context.format === 'json') return printJson({ name, ...body, waiting });
  printFields([
    ['holder', preview(body)],
    ['token', body.token],
    ['key', body.key],
    ['lease', body.lease],
    ['waiting', waiting],
  ]);
}

function holderBody({ key, value, createRevision, lease }: KeyValue) {
  return { key, token: createRevision, lease, ...bytesBody(value) };
}
