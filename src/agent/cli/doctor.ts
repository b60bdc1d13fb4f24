import type { Command } from 'commander';
import { verb } from './context.ts';
import { printJson, printTable } from './output.ts';

export function addDoctorVerb(root: Command): void {
  root
    .command('doctor')
    .description(
      'check the configuration, the state folder, the tools, the agent and its targets; works with the agent down',
    )
    .action(
      verb(async ({ paths, client, format }) => {
        const { examine } = await import('../doctor.ts');
        const findings = await examine(paths, client);
        if (format === 'json') printJson(findings);
        else {
          printTable(
            ['', 'CHECK', 'FINDING', 'NEXT STEP'],
            findings.map((one) => [MARKS[one.verdict], one.check, one.finding, one.hint ?? '']),
          );
        }
        if (findings.some((one) => one.verdict === 'bad')) process.exitCode = 1;
      }),
    );
}

const MARKS = { good: 'ok', note: '!!', bad: 'xx' } as const;
