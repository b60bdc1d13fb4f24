import type { Command } from 'commander';
import { stringify } from 'yaml';
import { configOptions } from '../paths.ts';
import { verb } from './context.ts';
import { printJson, printTable, say } from './output.ts';

export function addConfigVerbs(root: Command): void {
  const group = root
    .command('config')
    .description('the configuration file; needs no running agent');
  group
    .command('check')
    .description('validate the configuration without applying it')
    .action(
      verb(async ({ paths, format }) => {
        const { loadConfig } = await import('../config/index.ts');
        const { files } = await loadConfig(configOptions(paths));
        if (format === 'json') return printJson({ valid: true, files });
        say(
          files.length === 0
            ? `no ${paths.configFile}: the defaults hold`
            : `${files.join(', ')}: valid`,
        );
      }),
    );
  group
    .command('show')
    .description('the effective configuration, defaults filled in')
    .option('--origin', 'with where each value comes from')
    .action(
      verb(async ({ paths, format }, options: { origin?: boolean }) => {
        const { loadConfig, explainConfig } = await import('../config/index.ts');
        const loaded = await loadConfig(configOptions(paths));
        if (!options.origin) {
          return format === 'json'
            ? printJson(loaded.config)
            : void process.stdout.write(stringify(loaded.config));
        }
        const keys = explainConfig(loaded);
        if (format === 'json') return printJson(keys);
        printTable(
          ['KEY', 'VALUE', 'ORIGIN'],
          keys.map(({ key, value, origin }) => [key, JSON.stringify(value), origin]),
        );
      }),
    );
}
