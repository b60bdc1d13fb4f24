/** `kv lock`: a command runs while a lock is held, by the engine's own recipe over the agent's API. */
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import { acquireLock, type HeldLock } from '../../engine/index.ts';
import { verb, type Context } from './context.ts';
import { HeldCommand } from './held-command.ts';
import {
  engineOf,
  lostError,
  tellHeld,
  tellQueue,
  tokenOf,
  valueOf,
  withHoldOptions,
  type HoldOptions,
} from './lock-holding.ts';
import { say } from './output.ts';

/** Without --timeout, about as long as a timer can be: 24 days. */
const WAIT_MS_MAX = 2 ** 31 - 1;

const LOCK_HELP = `
Waits for its turn (first come, first served), runs the command, frees the lock, and exits with the command's
exit code. Without a command the lock is held until Ctrl-C. --timeout, when given, also bounds the wait.
  holdfast kv lock locks/backup -- sh -c 'echo "turn $HOLDFAST_LOCK_TOKEN"'
The command gets HOLDFAST_LOCK_TOKEN, higher for each holder than for all before: let what the lock guards refuse
a lower one. Signals are passed on to it. If the lock is lost, it gets SIGTERM, 5 s later SIGKILL, and the exit code
is 6; so it is when the place in the queue is taken away. 1: not had in time. 128 + n: ended by signal n.
If this process is killed, the lock is free after its ttl at the latest, and the command gets SIGTERM.`;

export function addLockVerb(group: Command): void {
  withHoldOptions(group.command('lock <name> [command...]'), 'who holds it, for others to read')
    .description('run a command while holding a lock')
    .option('--who', 'only say who holds it, and how many wait')
    .addHelpText('after', LOCK_HELP)
    .action(verb(lock));
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
  if (got.lost.aborted) throw lostError(name, got.lost.reason);
  await giveBack(got);
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

async function giveBack(got: HeldLock): Promise<void> {
  try {
    await got.unlock();
  } catch (thrown) {
    say(`the lock could not be freed, it ends with its ttl: ${String(thrown)}`);
  }
}
