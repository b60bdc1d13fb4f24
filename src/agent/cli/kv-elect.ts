/** `kv elect`: a command runs while it leads; who leads, and each change of it. */
import type { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { HoldfastError } from '../../base/errors.ts';
import { lead, observe, type HeldLock } from '../../engine/index.ts';
import { verb, type Context } from './context.ts';
import { isAway } from './follow.ts';
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
import { bytesBody, preview, say } from './output.ts';

/** Between two tries to campaign while the agent is away. */
const AGAIN_MS = 500;

const ELECT_HELP = `
Waits to be the leader, and runs the command while it leads. When leadership is lost, the command gets SIGTERM,
5 s later SIGKILL, and the wait begins again. Exits with the command's exit code when it ends by itself.
  holdfast kv elect elections/uplink --value "$(hostname)" -- sh -c 'echo leading'
The command gets HOLDFAST_LOCK_TOKEN, higher for each leader than for all before.`;

interface ElectOptions extends HoldOptions {
  readonly observe?: boolean;
}

export function addElectVerb(group: Command): void {
  withHoldOptions(group.command('elect <name> [command...]'), 'what the others read of the leader')
    .description('run a command while being the leader')
    .option('--who', 'only say who leads, and how many wait')
    .option('--observe', 'print who leads, then each change, one a line')
    .addHelpText('after', ELECT_HELP)
    .action(verb(elect));
}

async function elect(
  context: Context,
  name: string,
  argv: readonly string[],
  options: ElectOptions,
): Promise<void> {
  if (options.who) return tellQueue(context, name, 'nobody leads');
  if (options.observe) return tellLeaders(context, name, options.ttl);
  using held = new HeldCommand(argv);
  const { ending } = held;
  let code: number | undefined;
  let hasLed = false;
  const work = async (got: HeldLock, lost: AbortSignal): Promise<void> => {
    hasLed = true;
    if (argv.length === 0) tellHeld(context, name, got);
    const ended = await held.run(tokenOf(got), lost);
    if (!got.lost.aborted) code = ended;
    else say(`${lostError(name, got.lost.reason).message}; waiting to lead again`);
  };
  const engine = engineOf(context, options.ttl);
  const election = { ttlSeconds: options.ttl, signal: ending };
  while (code === undefined && !ending.aborted) {
    try {
      await lead(engine, name, valueOf(options), election, work);
    } catch (thrown) {
      // Resigning may fail, too; then leadership ends with its ttl.
      if (code !== undefined || ending.aborted) break;
      // Without an agent nobody leads. Who has led goes on when it is back.
      if (!hasLed || !(thrown instanceof HoldfastError && isAway(thrown))) throw thrown;
      await systemClock.sleep(AGAIN_MS, ending);
    }
  }
  process.exitCode = code ?? held.exitCode;
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
