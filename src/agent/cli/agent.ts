import type { Command } from 'commander';
import { verb } from './context.ts';

export function addAgentVerb(root: Command): void {
  root
    .command('agent')
    .description('run the agent in the foreground until SIGTERM or Ctrl-C')
    .option('--adopt-state', 'take over a state folder that was made on another host')
    .action(
      verb(async ({ paths, format }, options: { adoptState?: boolean }) => {
        // A start report that can't be written ends other commands, not the agent.
        process.stdout.removeAllListeners('error').on('error', () => undefined);
        const { runAgent } = await import('../main.ts');
        await runAgent(paths, { adoptState: options.adoptState ?? false, format });
      }),
    );
}
