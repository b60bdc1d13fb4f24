/**
 * Where our answers differ from the recorded ones on purpose. docs/api.md has the same for readers.
 * An entry that isn't needed any more fails the replay test.
 */
import type { RecordedAnswer } from '../fixtures/wire/libstorage/exchanges.ts';

export interface Difference {
  readonly reason: string;
  readonly exchanges: readonly string[];
  /** The recorded answer -> ours. */
  readonly change: (recorded: RecordedAnswer) => RecordedAnswer;
}

/** Numbers of the walk that are not played, first and last. */
export const LEFT_OUT: readonly {
  readonly numbers: readonly [number, number];
  readonly reason: string;
}[] = [
  { numbers: [57, 67], reason: 'snapshots: no driver of ours has them yet' },
  { numbers: [68, 69], reason: 'copy of a volume: no driver of ours has it yet' },
  { numbers: [70, 74], reason: 'tasks and ?async: every answer of ours is synchronous' },
  { numbers: [75, 77], reason: 'help: it shows the settings of the reference server' },
];

const A_CLIENTS_MISTAKE = "a client's mistake is 400 and not 500, and the message says what to do";

export const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'a client that sends only metadata is on this host, and is called what this host is',
    exchanges: ['08-instance-inspect-metadata', 'full-client#2'],
    change: (recorded) => replace(recorded, /"id": "(lswalk-host|vm)"/, '"id": "OUR REPLICA ID"'),
  },
  {
    reason: 'the device is there when attach answers: an empty token means no waiting',
    exchanges: ['18-volume-attach', '102-volume-attach-again', 'full-client#9', 'full-client#12'],
    change: (recorded) => replace(recorded, /"attachToken": ".+"/, '"attachToken": ""'),
  },
  {
    reason: 'a volume that another instance has is unavailable (4); vfs offers it as available (3)',
    exchanges: [
      '36-volumes-svc-otherhost-att3',
      '38-volumes-svc-otherhost-att7',
      '56-volume-inspect-att7-other',
    ],
    // The first state in each body is that of the volume which is attached.
    change: (recorded) => replace(recorded, /"attachmentState": 3/, '"attachmentState": 4'),
  },
  {
    reason: "masks 27 and 31 ask for one's own and the unattached: not for what another has",
    exchanges: ['46-volumes-svc-otherhost-att27', '47-volumes-svc-otherhost-att31'],
    change: (recorded) => withJson(recorded, ({ 'vfs-000': _others, ...rest }) => rest),
  },
  {
    reason: 'the same for one volume: what the mask drops is not found',
    exchanges: ['55-volume-inspect-att31-other'],
    change: (recorded) => refused(recorded, 404, 'resource not found', { resourceID: 'vfs-000' }),
  },
  {
    reason: 'one missing instance ID is the same 400 for all services as for one',
    exchanges: ['51-volumes-att2-noiid'],
    change: (recorded) => refused(recorded, 400, 'missing instance ID', { service: 'vfs' }),
  },
  {
    reason: A_CLIENTS_MISTAKE,
    exchanges: ['83-raw-create-bad-json'],
    change: (recorded) => invalid(recorded, "the body isn't valid JSON"),
  },
  {
    reason: A_CLIENTS_MISTAKE,
    exchanges: ['84-raw-create-no-name', '86-raw-create-empty-body'],
    change: (recorded) => invalid(recorded, 'body must have "name"'),
  },
  {
    reason: A_CLIENTS_MISTAKE,
    exchanges: ['85-raw-create-unknown-field'],
    change: (recorded) =>
      invalid(
        recorded,
        'body has an unknown property "bogus"',
        'known: name, availabilityZone, encrypted, encryptionKey, iops, size, type, opts',
      ),
  },
  {
    reason: A_CLIENTS_MISTAKE,
    exchanges: ['87-raw-create-size-string'],
    change: (recorded) => invalid(recorded, 'body: "size" must be integer'),
  },
  {
    reason: A_CLIENTS_MISTAKE,
    exchanges: ['88-raw-bad-iid-header', '89-raw-bad-ld-header'],
    change: (recorded) => ({
      ...withJson(recorded, (body) => ({ ...body, status: 400 })),
      status: 400,
    }),
  },
  {
    reason: 'a bad transaction is JSON as every error is; the reference answers plain text',
    exchanges: ['90-raw-bad-tx-header'],
    change: (recorded) => ({
      ...refused(recorded, 400, 'invalid transaction', { value: 'garbage' }),
      contentType: 'application/json',
      headerNames: recorded.headerNames.filter((name) => name !== 'x-content-type-options'),
    }),
  },
  {
    reason: 'filters are not there yet: refused, never ignored',
    exchanges: ['92-raw-bad-filter', '93-raw-filter-name'],
    change: (recorded) => {
      const message = "the query ?filter isn't supported by this agent";
      return refused(recorded, 501, message, { query: 'filter' });
    },
  },
];

function replace(recorded: RecordedAnswer, what: RegExp, by: string): RecordedAnswer {
  return { ...recorded, body: recorded.body.replace(what, by) };
}

function withJson(
  recorded: RecordedAnswer,
  change: (body: Record<string, unknown>) => object,
): RecordedAnswer {
  const body = change(JSON.parse(recorded.body) as Record<string, unknown>);
  return { ...recorded, body: JSON.stringify(body, null, 2) };
}

function refused(
  recorded: RecordedAnswer,
  status: number,
  message: string,
  error: object,
): RecordedAnswer {
  return { ...recorded, status, body: JSON.stringify({ message, status, error }, null, 2) };
}

function invalid(recorded: RecordedAnswer, message: string, hint?: string): RecordedAnswer {
  const error = { code: 'InvalidArgument', hint, retry: 'never' };
  return refused(recorded, 400, message, error);
}
