import type { Command } from 'commander';
import type { KvWatchLine } from '../faces/agent-api/schema.ts';
import { verb, wholeNumber, type Context } from './context.ts';
import { follow } from './follow.ts';
import { preview, printable, say } from './output.ts';

const WATCH_HELP = `
-o json prints a line of JSON per revision: {"revision", "changes": [{"type", "key", …}]}.
Ends with Ctrl-C (exit code 0), or with an error that says why and where to go on from. An agent that goes away
(a restart, an upgrade) is waited for, as long as --timeout says; then the watch goes on where it was, without a
gap. Exit code 1 when the history that it needs is gone (Compacted): read everything again, watch from there.
  holdfast kv watch app --from 1 --prev`;

interface WatchOptions {
  readonly deletes: boolean;
  readonly from?: number;
  readonly prev?: boolean;
  readonly progress?: boolean;
  readonly puts: boolean;
}

export function addWatchVerb(group: Command): void {
  group
    .command('watch [prefix]')
    .description('print changes under a prefix as they happen, one a line')
    .option('--from <revision>', 'start with this revision', wholeNumber(1))
    .option('--prev', 'also what was there before each change')
    .option('--no-puts', 'only deletes')
    .option('--no-deletes', 'only puts')
    .option('--progress', 'also say up to which revision all was seen, when nothing happens')
    .addHelpText('after', WATCH_HELP)
    .action(verb(watch));
}

async function watch(
  { client, format }: Context,
  prefix: string | undefined,
  options: WatchOptions,
): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const lines = follow(client, {
    query: { prefix: prefix ?? '', previous: options.prev, only: onlyOf(options) },
    from: options.from,
    patienceMs: client.timeoutMs,
    mayBegin: 'at once',
    onAway: ({ message }) => say(`${message}; waiting for it`),
    signal: stop.signal,
  });
  for await (const line of lines) {
    if (line.changes.length === 0 && !options.progress) continue;
    if (format === 'json') process.stdout.write(`${JSON.stringify(line)}\n`);
    else process.stdout.write(textOf(line));
  }
}

/** Both left out: nothing can come, which is not what anybody means. Then both are shown. */
function onlyOf({ puts, deletes }: WatchOptions): 'put' | 'delete' | undefined {
  if (puts === deletes) return undefined;
  return puts ? 'put' : 'delete';
}

function textOf({ revision, changes }: KvWatchLine): string {
  if (changes.length === 0) return `${revision} progress\n`;
  return changes
    .map((change) => {
      const value = change.type === 'put' ? ` ${preview(change)}` : '';
      const before = change.previous ? ` (before: ${preview(change.previous)})` : '';
      return `${revision} ${change.type} ${printable(change.key)}${value}${before}\n`;
    })
    .join('');
}
