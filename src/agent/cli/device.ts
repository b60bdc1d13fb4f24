import type { Command } from 'commander';
import { HoldfastError } from '../../base/errors.ts';
import type {
  ClaimBody,
  ClaimRequest,
  DeviceBody,
  DevicesReply,
  RescanReply,
} from '../faces/agent-api/schema.ts';
import { verb, withQuery, type Context } from './context.ts';
import { DEVICE_COLUMNS, deviceRow, fieldsOf } from './device-text.ts';
import { treeOf, treeRows } from './device-tree.ts';
import { addWatchVerb } from './device-watch.ts';
import { printable, printFields, printJson, printLines, printTable, say } from './output.ts';

export function addDeviceVerbs(root: Command): void {
  const group = root.command('device').description("this host's block devices");
  addList(group);
  addTree(group);
  addInspect(group);
  addWhy(group);
  addRescan(group);
  addWatchVerb(group);
  addForget(group);
  addClaim(group);
}

function addList(group: Command): void {
  group
    .command('ls')
    .description('list block devices')
    .option('--free', 'those that are free first; looks at the hardware now')
    .option('--all', 'also those that were here before and are gone')
    .option('--rescan', 'look at the hardware now')
    .action(
      verb(
        async (
          { client, format },
          options: { free?: boolean; all?: boolean; rescan?: boolean },
        ) => {
          const look = options.rescan || options.free;
          const { devices: all } = await client.json<DevicesReply>(
            withQuery('/agent/v1/devices', { look }),
          );
          const known = options.all ? all : all.filter(isHere);
          const devices = options.free ? known.toSorted(freeFirst) : known;
          if (format === 'json') return printJson(devices);
          printTable(
            DEVICE_COLUMNS,
            devices.map((device) => deviceRow(device)),
            'fit',
          );
        },
      ),
    );
}

function addTree(group: Command): void {
  group
    .command('tree')
    .description('what stands on what: disks, partitions, RAID, LVM, LUKS, multipath, loop files')
    .action(
      verb(async ({ client, format }) => {
        const { devices } = await client.json<DevicesReply>('/agent/v1/devices');
        const tree = treeOf(devices.filter(isHere));
        if (format === 'json') return printJson(tree);
        printTable(DEVICE_COLUMNS, treeRows(tree), 'fit');
      }),
    );
}

function addInspect(group: Command): void {
  group
    .command('inspect <device>')
    .description('all facts of one device (id, kernel name or path), and what happened to it')
    .action(
      verb(async ({ client, format }, ref: string) => {
        const device = await client.json<DeviceBody>(pathOf(ref));
        if (format === 'json') return printJson(device);
        printFields(fieldsOf(device));
        printLines('', ['facts, with their source and since when they are so:']);
        const facts = device.facts.map(({ name, value, source, since }) => [
          `  ${name}`,
          source,
          minuteOf(since),
          printable(value),
        ]);
        printTable(['  FACT', 'SOURCE', 'SINCE (UTC)', 'VALUE'], facts);
        printLines('', ['history:']);
        const history = device.history.map(({ at, event, detail }) => [
          `  ${minuteOf(at)}`,
          event,
          printable(detail ?? ''),
        ]);
        printTable(['  AT (UTC)', 'EVENT', 'DETAIL'], history);
      }),
    );
}

function addWhy(group: Command): void {
  group
    .command('why <device>')
    .description('is it free? every reason why, and why not; looks at the hardware now')
    .action(
      verb(async ({ client, format }, ref: string) => {
        const device = await client.json<DeviceBody>(withQuery(pathOf(ref), { look: true }));
        const { id, name, path, verdict, claim } = device;
        if (format === 'json') return printJson({ id, name, path, ...verdict, claim });
        printLines('', [`${path} (${id}) is ${verdict.free ? 'free' : 'not free'}`]);
        for (const against of [true, false]) {
          const reasons = verdict.reasons.filter((reason) => reason.against === against);
          if (reasons.length === 0) continue;
          printLines('', [against ? 'against it:' : 'besides:']);
          for (const { code, message } of reasons) printLines('  ', [`${message} [${code}]`]);
        }
        if (claim?.problem !== undefined) {
          printLines('', [`the claim of ${claim.owner} doesn't hold: ${claim.problem}`]);
        }
      }),
    );
}

function addRescan(group: Command): void {
  group
    .command('rescan')
    .description('look at the hardware now, and say what changed')
    .action(
      verb(async ({ client, format }) => {
        const { events } = await client.send<RescanReply>('/agent/v1/devices/rescan', 'POST');
        if (format === 'json') return printJson(events);
        if (events.length === 0) return say('nothing changed');
        for (const { message } of events) printLines('', [message]);
      }),
    );
}

/** Who claims at the shell and doesn't say for whom. */
const OPERATOR = 'operator';

function addClaim(group: Command): void {
  group
    .command('claim <device>')
    .description(
      'take a device that is free for an owner; again: check that it is still that device',
    )
    .option('--owner <name>', 'for whom', OPERATOR)
    .action(
      verb(async ({ client, format }, ref: string, { owner }: { owner: string }) => {
        const request: ClaimRequest = { owner };
        const claim = await client.send<ClaimBody>(`${pathOf(ref)}/claim`, 'POST', request);
        if (format === 'json') return printJson(claim);
        const { scheme, value, confidence } = claim.identity;
        printFields([
          ['device', claim.device],
          ['owner', claim.owner],
          ['identity', `${scheme} ${value} (confidence ${confidence})`],
          ['claimed at', claim.claimedAt],
        ]);
      }),
    );
  group
    .command('release <device>')
    .description('give a claimed device back; changes nothing on it')
    .option('--owner <name>', 'who has it', OPERATOR)
    .option('--force', 'whoever has it')
    .action(
      verb(async ({ client }, ref: string, query: { owner: string; force?: boolean }) => {
        const { owner, force } = query;
        await client.send(withQuery(`${pathOf(ref)}/claim`, { owner, force }), 'DELETE');
      }),
    );
}

interface ForgetOptions {
  readonly absent?: boolean;
  readonly dryRun?: boolean;
}

function addForget(group: Command): void {
  group
    .command('forget [device...]')
    .description('delete the records of devices that are gone')
    .option('--absent', 'of all that are gone')
    .option('--dry-run', 'only say which')
    .action(
      verb(async ({ client, format }, refs: string[], options: ForgetOptions) => {
        const found = await toForget(client, refs, options);
        for (const { id } of options.dryRun ? [] : found) await client.send(pathOf(id), 'DELETE');
        if (format === 'json') return printJson(found.map(({ id }) => id));
        say(options.dryRun ? `would forget ${found.length}:` : `forgot ${found.length}:`);
        for (const { id } of found) printLines('', [id]);
      }),
    );
}

async function toForget(
  client: Context['client'],
  refs: readonly string[],
  { absent = false }: ForgetOptions,
): Promise<DeviceBody[]> {
  if ((refs.length === 0) !== absent) {
    throw new HoldfastError('InvalidArgument', 'name the devices to forget, or say --absent', {
      hint: 'holdfast device ls --all shows those that are gone, in brackets',
    });
  }
  if (!absent) return Promise.all(refs.map((ref) => client.json<DeviceBody>(pathOf(ref))));
  const { devices } = await client.json<DevicesReply>('/agent/v1/devices');
  return devices.filter((device) => !isHere(device));
}

/** `2026-11-24T14:44:54.123Z` -> `2026-11-24 14:44` */
function minuteOf(iso: string): string {
  return iso.slice(0, 'yyyy-mm-ddThh:mm'.length).replace('T', ' ');
}

/** A quarantined identity is here more than once, though no device has it. */
function isHere({ present, quarantine }: DeviceBody): boolean {
  return present || quarantine !== undefined;
}

function freeFirst(a: DeviceBody, b: DeviceBody): number {
  return Number(b.verdict.free) - Number(a.verdict.free);
}

function pathOf(ref: string): string {
  return `/agent/v1/devices/${encodeURIComponent(ref)}`;
}
