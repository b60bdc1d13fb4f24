import { Command, CommanderError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { addAgentVerb } from './agent.ts';
import { addConfigVerbs } from './config.ts';
import { wholeNumber } from './context.ts';
import { addDeviceVerbs } from './device.ts';
import { addDoctorVerb } from './doctor.ts';
import { addIdentityVerbs } from './identity.ts';
import { addKvVerbs } from './kv.ts';
import { addStatusVerb } from './status.ts';
import { addSyncVerbs } from './sync.ts';
import { addVolumeVerbs } from './volume.ts';

const EXIT_CODES = `
Exit codes: 0 ok, 1 failure, 2 usage, 3 agent not running, 5 not found, 6 conflict, 78 configuration.
Environment: HOLDFAST_CONFIG, HOLDFAST_STATE_DIR, HOLDFAST_SOCKET, NO_COLOR.`;

function program(): Command {
  const root = new Command('holdfast')
    .description(
      'storage agent for edge hosts: volumes, devices and a key-value engine that work offline',
    )
    .version(VERSION, '-V, --version')
    .option('--config <file>', 'configuration file')
    .option('--state-dir <dir>', "the agent's state folder")
    .option('--socket <path>', "the agent's unix socket")
    .option('--timeout <seconds>', 'how long to wait for the agent', wholeNumber(1), 60)
    .addOption(
      new Option('-o, --output <format>', 'output format')
        .choices(['table', 'json'])
        .default('table'),
    )
    .showHelpAfterError('(try --help)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EXIT_CODES);
  for (const add of [
    addAgentVerb,
    addStatusVerb,
    addVolumeVerbs,
    addDeviceVerbs,
    addIdentityVerbs,
    addKvVerbs,
    addSyncVerbs,
    addConfigVerbs,
    addDoctorVerb,
  ]) {
    add(root);
  }
  for (const command of withAllBelow(root)) command.exitOverride();
  return root;
}

function withAllBelow(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withAllBelow)];
}

/** A reader that went away (`| head`) ends us quietly, as it does other tools. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program().parseAsync();
} catch (thrown) {
  // Commander has printed help, version or what is wrong; only its exit code is not ours.
  if (!(thrown instanceof CommanderError)) throw thrown;
  process.exitCode = thrown.exitCode === 0 ? 0 : 2;
}
