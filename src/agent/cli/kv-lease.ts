/** Leases: keys that end with whoever holds them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import { LEASE_TTL_SECONDS_MAX } from '../../engine/index.ts';
import type {
  LeaseBody,
  LeaseKeysReply,
  LeasesReply,
  RevokeLeaseReply,
} from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { isAway } from './follow.ts';
import { printable, printFields, printJson, printTable, say } from './output.ts';

const LEASES = '/agent/v1/leases';
/** Of one time to live: two may be late or lost. */
const KEEP_ALIVES_PER_TTL = 3;

const LEASE_HELP = `
A lease is a time to live that keys are put under. While somebody keeps it alive, they stay.
  L=$(holdfast kv lease grant 30)
  holdfast kv put services/web 10.0.0.7:80 --lease $L
  holdfast kv lease keepalive $L`;

const KEEPALIVE_HELP = `
Keeps it alive until Ctrl-C (exit code 0) or until it is gone (5). An agent that is away is waited for.
  holdfast kv lease keepalive $L --once`;

export function addLeaseVerbs(group: Command): void {
  const lease = group
    .command('lease')
    .description('leases: keys that end with their holder')
    .addHelpText('after', LEASE_HELP);
  lease
    .command('grant')
    .description('make a lease and print its id')
    .argument('<seconds>', 'its time to live', wholeNumber(1, LEASE_TTL_SECONDS_MAX))
    .action(
      verb(async ({ client, format }, ttlSeconds: number) => {
        const granted = await client.send<LeaseBody>(LEASES, 'POST', { ttlSeconds });
        if (format === 'json') return printJson(granted);
        process.stdout.write(`${granted.id}\n`);
      }),
    );
  withId(lease.command('keepalive'))
    .description('begin its time anew, again and again')
    .option('--once', 'only once')
    .addHelpText('after', KEEPALIVE_HELP)
    .action(verb(keepAlive));
  withId(lease.command('revoke'))
    .description('end it now, with all its keys')
    .action(
      verb(async ({ client, format }, id: number) => {
        const answer = await client.send<RevokeLeaseReply>(`${LEASES}/${id}`, 'DELETE');
        if (format === 'json') printJson(answer);
      }),
    );
  withId(lease.command('show')).description('its time to live and its keys').action(verb(show));
  lease.command('ls').alias('list').description('all leases').action(verb(list));
}

function withId(command: Command): Command {
  return command.argument('<id>', 'as `lease grant` printed it', wholeNumber(1));
}

async function keepAlive(
  context: Context,
  id: number,
  options: { readonly once?: boolean },
): Promise<void> {
  const renew = (): Promise<LeaseBody> =>
    context.client.send<LeaseBody>(`${LEASES}/${id}/keepalive`, 'POST');
  const first = await renew();
  if (options.once) {
    if (context.format === 'json') printJson(first);
    return;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const pauseMs = (first.ttlSeconds * 1000) / KEEP_ALIVES_PER_TTL;
  say(`keeping lease ${id} alive, every ${Math.round(pauseMs / 100) / 10} s`);
  for (;;) {
    await sleep(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return;
    try {
      await renew();
    } catch (thrown) {
      // The agent gives it its whole time again when it is back: only it can say that the lease is gone.
      if (!(thrown instanceof HoldfastError && isAway(thrown))) throw thrown;
      say(thrown.message);
    }
  }
}

async function show({ client, format }: Context, id: number): Promise<void> {
  const lease = await client.json<LeaseKeysReply>(`${LEASES}/${id}`);
  if (format === 'json') return printJson(lease);
  printFields([
    ['lease', lease.id],
    ['time to live', `${lease.ttlSeconds} s`],
    ['remaining', seconds(lease)],
    ...lease.keys.map((key) => ['key', printable(key)] as const),
  ]);
}

async function list({ client, format }: Context): Promise<void> {
  const { leases } = await client.json<LeasesReply>(LEASES);
  if (format === 'json') return printJson(leases);
  printTable(
    ['LEASE', 'TTL', 'REMAINING'],
    leases.map((lease) => [String(lease.id), `${lease.ttlSeconds} s`, seconds(lease)]),
  );
}

function seconds({ remainingMs }: LeaseBody): string {
  return `${(remainingMs / 1000).toFixed(1)} s`;
}
