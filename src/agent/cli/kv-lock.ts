/** Locks and elections for scripts, over the agent: a command runs while the lock is held, or while it leads. */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import {
  acquireLock,
  lead,
  LEASE_TTL_SECONDS_MAX,
  lockQueue,
  observe,
  type HeldLock,
  type KeyValue,
} from '../../engine/index.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { HeldCommand } from './held-command.ts';
import { bytesBody, preview, printFields, printJson, say } from './output.ts';
import { RemoteEngine } from './remote-engine.ts';

const TTL_SECONDS_DEFAULT = 10;
/** Without --timeout, about as long as a timer can be: 24 days. */
const WAIT_MS_MAX = 2 ** 31 - 1;
const TTL_HELP = 'how long it outlives this process';
const ttlSeconds = wholeNumber(1, LEASE_TTL_SECONDS_MAX);

const LOCK_HELP = `
Waits for its turn (first come, first served), runs the command, frees the lock, and exits with the command's
exit code. Without a command the lock is held until Ctrl-C. --timeout, when given, also bounds the wait.
  holdfast kv lock locks/backup -- sh -c 'echo "turn $HOLDFAST_LOCK_TOKEN"'
The command gets HOLDFAST_LOCK_TOKEN, higher for each holder than for all before: let what the lock guards refuse
a lower one. Signals are passed on to it. If the lock is lost, it gets SIGTERM, 5 s later SIGKILL, and the exit code
is 6; so it is when the place in the queue is taken away. 1: not had in time. 128 + n: ended by signal n.
If this process is killed, the lock is free after its ttl at the latest, and the command gets SIGTERM.`;

const ELECT_HELP = `
Waits to be the leader, and runs the command while it leads. When leadership is lost, the command gets SIGTERM,
5 s later SIGKILL, and the wait begins again. Exits with the command's exit code when it ends by itself.
  holdfast kv elect elections/uplink --value "$(hostname)" -- sh -c 'echo leading'
The command gets HOLDFAST_LOCK_TOKEN, higher for each leader than for all before.`;

interface HoldOptions {
  readonly ttl: number;
  readonly value?: string;
  readonly who?: boolean;
  readonly observe?: boolean;
}

export function addLockVerbs(group: Command): void {
  group
    .command('lock <name> [command...]')
    .description('run a command while holding a lock')
    .option('--ttl <seconds>', TTL_HELP, ttlSeconds, TTL_SECONDS_DEFAULT)
    .option('--value <text>', 'who holds it, for others to read; default host and pid')
    .option('--who', 'only say who holds it, and how many wait')
    .addHelpText('after', LOCK_HELP)
    .action(verb(lock));
  group
    .command('elect <name> [command...]')
    .description('run a command while being the leader')
    .option('--ttl <seconds>', TTL_HELP, ttlSeconds, TTL_SECONDS_DEFAULT)
    .option('--value <text>', 'what the others read of the leader; default host and pid')
    .option('--who', 'only say who leads')
    .option('--observe', 'print who leads, then each change, one a line')
    .addHelpText('after', ELECT_HELP)
    .action(verb(elect));
}

async function lock(
  context: Context,
  name: string,
  argv: readonly string[],
  options: HoldOptions,
  command: Command,
): Promise<void> {
  if (options.who) return tellQueue(context, name, 'nobody holds the lock');
  using held = new HeldCommand(argv);
  const bounded = command.getOptionValueSourceWithGlobals('timeout') === 'cli';
  const waitMs = bounded ? context.client.timeoutMs : undefined;
  const got = await wait(context, name, options, { ending: held.ending, waitMs });
  if (!got) {
    process.exitCode = held.exitCode;
    return;
  }
  if (argv.length === 0) tellHeld(context, name, got);
  const code = await held.run(tokenOf(got), got.lost);
  await giveBack(got);
  if (got.lost.aborted) throw lostError(name, got.lost.reason);
  process.exitCode = code;
}

/** @returns undefined when a signal ended the wait. @throws DeadlineExceeded, and as acquireLock */
async function wait(
  context: Context,
  name: string,
  options: HoldOptions,
  { ending, waitMs }: { readonly ending: AbortSignal; readonly waitMs: number | undefined },
): Promise<HeldLock | undefined> {
  const stop = new AbortController();
  const onEnding = (): void => stop.abort();
  ending.addEventListener('abort', onEnding);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop.abort();
  }, waitMs ?? WAIT_MS_MAX);
  const lockOptions = { ttlSeconds: options.ttl, value: valueOf(options), signal: stop.signal };
  try {
    return await acquireLock(engineOf(context, options.ttl), name, lockOptions);
  } catch (thrown) {
    if (ending.aborted) return undefined;
    if (!late) throw thrown;
    const message = `the lock ${name} could not be had in time`;
    const hint = `who has it: holdfast kv lock --who ${name}`;
    throw new HoldfastError('DeadlineExceeded', message, { hint, cause: thrown });
  } finally {
    clearTimeout(timer);
    ending.removeEventListener('abort', onEnding);
  }
}

async function elect(
  context: Context,
  name: string,
  argv: readonly string[],
  options: HoldOptions,
): Promise<void> {
  if (options.who) return tellQueue(context, name, 'nobody leads');
  if (options.observe) return tellLeaders(context, name, options.ttl);
  using held = new HeldCommand(argv);
  const { ending } = held;
  let code: number | undefined;
  const election = { ttlSeconds: options.ttl, signal: ending };
  await lead(
    engineOf(context, options.ttl),
    name,
    valueOf(options),
    election,
    async (got, lost) => {
      if (argv.length === 0) tellHeld(context, name, got);
      const ended = await held.run(tokenOf(got), lost);
      if (!got.lost.aborted) code = ended;
      else say(`${lostError(name, got.lost.reason).message}; waiting to lead again`);
    },
  );
  process.exitCode = code ?? held.exitCode;
}

/** Reads and watches go on when the agent is back before the lock could have ended. */
function engineOf({ client }: Context, ttlSeconds: number): RemoteEngine {
  return new RemoteEngine(client, Math.max(ttlSeconds * 1000, client.timeoutMs));
}

function valueOf({ value }: HoldOptions): Uint8Array {
  return Buffer.from(value ?? `${hostname()} pid ${process.pid}`);
}

function tokenOf({ fence, key }: HeldLock): Record<string, string> {
  return { HOLDFAST_LOCK_TOKEN: String(fence), HOLDFAST_LOCK_KEY: key };
}

function tellHeld({ format }: Context, name: string, { key, fence }: HeldLock): void {
  if (format === 'json') printJson({ name, key, token: fence });
  else
    printFields([
      ['key', key],
      ['token', fence],
    ]);
}

async function giveBack(got: HeldLock): Promise<void> {
  try {
    await got.unlock();
  } catch (thrown) {
    say(`the lock could not be freed, it ends with its ttl: ${String(thrown)}`);
  }
}

function lostError(name: string, reason: unknown): HoldfastError {
  const why = reason instanceof HoldfastError ? reason.message : String(reason);
  return new HoldfastError('CannotLock', `${name} was lost: ${why}`, { cause: reason });
}

/** @throws NotFound when nobody is in it */
async function tellQueue(context: Context, name: string, nobody: string): Promise<void> {
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

/** Until a signal; an observer that fell behind begins anew. */
async function tellLeaders(context: Context, name: string, ttlSeconds: number): Promise<void> {
  using held = new HeldCommand([]);
  const engine = engineOf(context, ttlSeconds);
  while (!held.ending.aborted) {
    try {
      for await (const { revision, ...leader } of observe(engine, name, held.ending)) {
        const known = 'fence' in leader ? leader : undefined;
        const body = known && { token: known.fence, ...bytesBody(known.value) };
        const line = `${revision} ${body ? preview(body) : '(nobody)'}`;
        process.stdout.write(
          `${context.format === 'json' ? JSON.stringify({ revision, ...body }) : line}\n`,
        );
      }
    } catch (thrown) {
      if (!(thrown instanceof HoldfastError && thrown.code === 'Compacted')) throw thrown;
      say('fell behind: this is who leads now');
    }
  }
}
