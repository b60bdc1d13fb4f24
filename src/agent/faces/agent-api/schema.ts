/**
 * The wire of our own API as types: every body that `/agent/v1` takes or answers. The server
 * validates requests and serializes answers with these schemas; the command line and other clients
 * use the types of the same names. An answer may grow fields; a request with an unknown one is
 * refused.
 */
import { Type, type Static, type TSchema } from 'typebox';

const Text = Type.String();
const OptionalText = Type.Optional(Text);
const Count = Type.Integer({ minimum: 0 });
const Bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Flag = Type.Boolean();
const Texts = Type.Array(Text);
const TextMap = Type.Record(Type.String(), Type.String());

/** A request's object: a misspelled property is an error, never ignored. */
function closed<T extends Record<string, TSchema>>(properties: T) {
  return Type.Object(properties, { additionalProperties: false });
}

export const ErrorBody = Type.Object({
  /** Stable name, see base/errors.ts. */
  code: Text,
  message: Text,
  hint: OptionalText,
  retry: Type.Enum(['now', 'later', 'never']),
});
export type ErrorBody = Static<typeof ErrorBody>;

const Identity = Type.Object({
  replicaId: Text,
  mintedAt: Text,
  clonedFrom: OptionalText,
  fingerprint: Type.Object({
    productUuid: OptionalText,
    boardSerial: OptionalText,
    macs: Texts,
    rootDisk: OptionalText,
    machine: OptionalText,
  }),
});

const HostFacts = Type.Object({
  hostname: Text,
  os: Text,
  kernel: Text,
  arch: Text,
  cpu: Text,
  cores: Count,
  memoryBytes: Bytes,
  manufacturer: OptionalText,
  model: OptionalText,
  virtual: OptionalText,
});

/** GET /agent/v1/host */
export const HostReply = Type.Object({ identity: Identity, facts: HostFacts });
export type HostReply = Static<typeof HostReply>;

const Identified = Type.Object({
  scheme: Text,
  value: Text,
  confidence: Text,
  conflict: OptionalText,
});
const Quarantine = Type.Object({ id: Text, names: Texts });

const deviceFacts = {
  id: Text,
  identity: Identified,
  recipe: Count,
  name: Text,
  path: Text,
  major: Count,
  minor: Count,
  kind: Text,
  sizeBytes: Bytes,
  logicalBlockBytes: Count,
  physicalBlockBytes: Count,
  rotational: Flag,
  readOnly: Flag,
  removable: Flag,
  model: OptionalText,
  serial: OptionalText,
  wwid: OptionalText,
  diskseq: Type.Optional(Count),
  backingFile: OptionalText,
  backingDevice: OptionalText,
  layer: OptionalText,
  layerName: OptionalText,
  legOf: OptionalText,
  content: Text,
  partitionTable: OptionalText,
  fileSystem: Type.Optional(Type.Object({ type: Text, label: OptionalText, uuid: OptionalText })),
  mountPoints: Texts,
  swap: Flag,
  parent: OptionalText,
  children: Texts,
  holders: Texts,
  slaves: Texts,
  present: Flag,
  quarantine: Type.Optional(Quarantine),
  facts: Type.Array(Type.Object({ name: Text, value: Text, source: Text, since: Text })),
  history: Type.Array(Type.Object({ at: Text, event: Text, detail: OptionalText })),
};

/** Whether it may be taken for something new, with every reason. */
const Verdict = Type.Object({
  free: Flag,
  reasons: Type.Array(Type.Object({ code: Text, against: Flag, message: Text })),
});

/** POST /agent/v1/devices/:ref/claim. `problem`: why it doesn't hold now. */
export const ClaimBody = Type.Object({
  device: Text,
  owner: Text,
  identity: Identified,
  bootId: Text,
  diskseq: Type.Optional(Count),
  claimedAt: Text,
  problem: OptionalText,
});
export type ClaimBody = Static<typeof ClaimBody>;

export const DeviceBody = Type.Object({
  ...deviceFacts,
  verdict: Verdict,
  claim: Type.Optional(ClaimBody),
});
export type DeviceBody = Static<typeof DeviceBody>;

/** GET /agent/v1/devices; one device: `DeviceBody` */
export const DevicesReply = Type.Object({ devices: Type.Array(DeviceBody) });
export type DevicesReply = Static<typeof DevicesReply>;

export const DeviceEventBody = Type.Object({
  type: Text,
  device: Type.Object(deviceFacts),
  message: Text,
});
export type DeviceEventBody = Static<typeof DeviceEventBody>;

/** POST /agent/v1/devices/rescan */
export const RescanReply = Type.Object({ events: Type.Array(DeviceEventBody) });
export type RescanReply = Static<typeof RescanReply>;

/** A configured volume service. */
export const ServiceBody = Type.Object({
  name: Text,
  driver: Text,
  path: Text,
  fsType: OptionalText,
  preallocate: Type.Optional(Flag),
  presentAs: OptionalText,
});
export type ServiceBody = Static<typeof ServiceBody>;

/** GET /agent/v1/services */
export const ServicesReply = Type.Object({ services: Type.Array(ServiceBody) });
export type ServicesReply = Static<typeof ServicesReply>;

export const VolumeBody = Type.Object({
  spec: Type.Object({
    id: Text,
    name: Text,
    service: Text,
    driver: Text,
    sizeBytes: Bytes,
    fsType: OptionalText,
    preallocate: Type.Optional(Flag),
    mountAtBoot: Flag,
    fields: TextMap,
    availabilityZone: OptionalText,
    iops: Type.Optional(Count),
    type: OptionalText,
    createdAt: Text,
  }),
  status: Type.Object({
    phase: Text,
    fsUuid: OptionalText,
    device: OptionalText,
    mountPoint: OptionalText,
    bootId: OptionalText,
    attachments: Type.Array(
      Type.Object({
        instanceId: Text,
        driver: Text,
        service: Text,
        deviceName: Text,
        bootId: Text,
        attachedAt: Text,
      }),
    ),
    condition: Type.Optional(Type.Object({ code: Text, message: Text, since: Text })),
  }),
});
export type VolumeBody = Static<typeof VolumeBody>;

/** GET /agent/v1/volumes; one volume (also the answer of create, mount, unmount): `VolumeBody` */
export const VolumesReply = Type.Object({ volumes: Type.Array(VolumeBody) });
export type VolumesReply = Static<typeof VolumesReply>;

/** POST /agent/v1/volumes */
export const CreateVolumeRequest = closed({
  name: Text,
  service: OptionalText,
  sizeBytes: Type.Optional(Bytes),
  fsType: OptionalText,
  preallocate: Type.Optional(Flag),
  mountAtBoot: Type.Optional(Flag),
  fields: Type.Optional(TextMap),
  availabilityZone: OptionalText,
  iops: Type.Optional(Count),
  type: OptionalText,
});
export type CreateVolumeRequest = Static<typeof CreateVolumeRequest>;

export const SyncBody = Type.Object({
  target: Text,
  type: Text,
  endpoints: Texts,
  state: Text,
  cursor: Count,
  localRevision: Count,
  lagRevisions: Count,
  lastAckAt: OptionalText,
  lastError: Type.Optional(Type.Object({ code: Text, message: Text, at: Text })),
  parked: Count,
});
export type SyncBody = Static<typeof SyncBody>;

/** GET /agent/v1/sync */
export const SyncReply = Type.Object({ targets: Type.Array(SyncBody) });
export type SyncReply = Static<typeof SyncReply>;

export const EventBody = Type.Object({
  seq: Count,
  type: Text,
  at: Text,
  epoch: Text,
  subject: Text,
  message: Text,
  data: Type.Optional(Type.Unknown()),
});
export type EventBody = Static<typeof EventBody>;

/** GET /agent/v1/events */
export const EventsReply = Type.Object({
  events: Type.Array(EventBody),
  /** Number of the last event that there was by then: where a reader who wants only new ones begins. */
  last: Count,
});
export type EventsReply = Static<typeof EventsReply>;

/** GET /agent/v1/status */
export const StatusReply = Type.Object({
  version: Text,
  epoch: Text,
  state: Type.Enum(['starting', 'ready', 'degraded', 'stopping']),
  since: Text,
  reasons: Texts,
  replicaId: Text,
  hostname: Text,
  pid: Count,
  startedAt: Text,
  uptimeSeconds: Count,
  engine: Type.Object({ backend: Text, revision: Count, incarnation: Text }),
  services: Type.Array(Type.Object({ name: Text, driver: Text, path: Text, volumes: Count })),
  volumes: Type.Object({ total: Count, mounted: Count, failed: Count }),
  devices: Type.Object({ present: Count, absent: Count }),
  sync: Type.Array(SyncBody),
  /** Absent: no feed is configured. */
  mqtt: Type.Optional(Type.Object({ state: Text, lastError: OptionalText })),
  components: Type.Array(
    Type.Object({ id: Text, running: Flag, restarts: Count, lastError: OptionalText }),
  ),
});
export type StatusReply = Static<typeof StatusReply>;

const keyFacts = {
  key: Text,
  createRevision: Count,
  modRevision: Count,
  version: Count,
  /** The lease it ends with. */
  lease: Type.Optional(Count),
};

/** GET /agent/v1/kv. `value` is base64; `text` is there when the bytes are valid UTF-8. */
export const KvBody = Type.Object({ ...keyFacts, value: Text, text: OptionalText });
export type KvBody = Static<typeof KvBody>;

/** The same where the value may have been left out. */
const KvOrKey = Type.Object({ ...keyFacts, value: OptionalText, text: OptionalText });

/** GET /agent/v1/kv/list. All of it as of `revision`, which counts within `incarnation` only. */
export const KvListReply = Type.Object({
  kvs: Type.Array(KvOrKey),
  revision: Count,
  incarnation: Text,
  more: Flag,
});
export type KvListReply = Static<typeof KvListReply>;

/** PUT and DELETE /agent/v1/kv */
export const KvWriteReply = Type.Object({ revision: Count });
export type KvWriteReply = Static<typeof KvWriteReply>;

/**
 * A line of GET /agent/v1/kv/watch. One without changes: all up to its revision was seen. The first line
 * names the incarnation. The last line of a watch that failed is an `ErrorBody` instead.
 */
export const KvWatchLine = Type.Object({
  revision: Count,
  incarnation: OptionalText,
  changes: Type.Array(
    Type.Object({
      type: Type.Enum(['put', 'delete']),
      ...keyFacts,
      /** Absent for a delete. */
      value: OptionalText,
      text: OptionalText,
      /** What was there before, when the watch asked for it. */
      previous: Type.Optional(KvBody),
    }),
  ),
});
export type KvWatchLine = Static<typeof KvWatchLine>;

/** Who still has to read the history, and from where: what comes after `revision` is kept. */
const LogHold = Type.Object({ name: Text, revision: Count });

/** GET /agent/v1/kv/stats. The whole store, the agent's own keys too. */
export const KvStatsReply = Type.Object({
  backend: Text,
  path: Text,
  incarnation: Text,
  revision: Count,
  /** Revisions at or below this are gone from the change log. */
  compactedRevision: Count,
  keys: Count,
  logEntries: Count,
  logBytes: Bytes,
  /** Running time since the oldest entry of the log was written, at least; absent: it has none. */
  oldestAgeMs: Type.Optional(Type.Number({ minimum: 0 })),
  /** The one that is furthest behind first. */
  holds: Type.Array(LogHold),
  /** Who keeps entries that are older than the history. */
  heldBy: Type.Optional(LogHold),
  sizeBytes: Bytes,
  /** Room kept on the disk, so that deletes go on when it is full. */
  reserveBytes: Bytes,
  /** The disk is full: puts are refused. */
  refusesPuts: Flag,
  /** What is wrong with the store's files, and what to do. */
  problem: OptionalText,
});
export type KvStatsReply = Static<typeof KvStatsReply>;

/** POST /agent/v1/kv/compact. `heldBy` kept it from going all the way. */
export const CompactReply = Type.Object({
  revision: Count,
  compactedRevision: Count,
  heldBy: Type.Optional(LogHold),
});
export type CompactReply = Static<typeof CompactReply>;

/** POST /agent/v1/kv/txn. One result for each op of the branch that was taken. */
export const TxnReply = Type.Object({
  succeeded: Flag,
  revision: Count,
  results: Type.Array(
    Type.Object({
      type: Type.Enum(['put', 'delete', 'get']),
      /** put and delete, on request: what was there before; for a put at most one. */
      previous: Type.Optional(Type.Array(KvBody)),
      /** delete: how many keys. */
      deleted: Type.Optional(Count),
      /** get: in key order, and whether `limit` cut it. */
      kvs: Type.Optional(Type.Array(KvBody)),
      more: Type.Optional(Flag),
    }),
  ),
});
export type TxnReply = Static<typeof TxnReply>;

const leaseFacts = { id: Count, ttlSeconds: Count, remainingMs: Type.Number({ minimum: 0 }) };

/** POST /agent/v1/leases and /agent/v1/leases/:id/keepalive */
export const LeaseBody = Type.Object(leaseFacts);
export type LeaseBody = Static<typeof LeaseBody>;

/** GET /agent/v1/leases */
export const LeasesReply = Type.Object({ leases: Type.Array(LeaseBody) });
export type LeasesReply = Static<typeof LeasesReply>;

/** GET /agent/v1/leases/:id. Its keys in key order. */
export const LeaseKeysReply = Type.Object({ ...leaseFacts, keys: Texts });
export type LeaseKeysReply = Static<typeof LeaseKeysReply>;

/** DELETE /agent/v1/leases/:id. `revision` deleted its keys; absent when it had none. */
export const RevokeLeaseReply = Type.Object({ revision: Type.Optional(Count) });
export type RevokeLeaseReply = Static<typeof RevokeLeaseReply>;

/** GET /healthz and /readyz */
export const ProbeReply = Type.Object({ state: Text, reasons: Texts });
export type ProbeReply = Static<typeof ProbeReply>;

/* Requests: bodies and query strings. */
const Key = Type.String({ minLength: 1 });
const Revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const LeaseId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** Entries of one page, of kv and of events alike: about 1 MiB of small values. */
export const PAGE_ENTRIES_MAX = 10_000;
const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_ENTRIES_MAX }));

/** Answered before it is on the disk, which it is so many milliseconds later; absent: on the disk when answered. */
const RelaxedMs = Type.Optional(Type.Integer({ minimum: 1 }));

/** `?force`, `?force=true`, `?force=false` */
const FlagQuery = Type.Optional(Type.Enum(['', 'true', 'false']));

/** Names keys in one of three ways: one; all under a path; all from one up to another in the order of their bytes. */
const span = {
  key: Type.Optional(Key),
  prefix: OptionalText,
  fromKey: OptionalText,
  beforeKey: OptionalText,
};
const SpanBody = Type.Object(span);
export type SpanBody = Static<typeof SpanBody>;

/** Holds when it holds for every key it names. `value` (base64) or `text` go with the target `value`, else `number`. */
export const TxnCompareBody = closed({
  ...span,
  target: Type.Enum(['version', 'createRevision', 'modRevision', 'lease', 'value']),
  operator: Type.Enum(['=', '!=', '<', '>']),
  number: Type.Optional(Revision),
  value: OptionalText,
  text: OptionalText,
});
export type TxnCompareBody = Static<typeof TxnCompareBody>;

/** put: `key`, `value` (base64) or `text`, `lease`, `previous`. delete: `previous`. get: `limit`. */
export const TxnOpBody = closed({
  type: Type.Enum(['put', 'delete', 'get']),
  ...span,
  value: OptionalText,
  text: OptionalText,
  lease: Type.Optional(LeaseId),
  previous: Type.Optional(Flag),
  limit: Limit,
});
export type TxnOpBody = Static<typeof TxnOpBody>;

/** POST /agent/v1/kv/txn. `then` is done when all compares hold, otherwise `else`. */
export const TxnRequest = closed({
  compares: Type.Optional(Type.Array(TxnCompareBody)),
  then: Type.Optional(Type.Array(TxnOpBody)),
  else: Type.Optional(Type.Array(TxnOpBody)),
  relaxedMs: RelaxedMs,
});
export type TxnRequest = Static<typeof TxnRequest>;

/** With `overHolds` also what somebody holds: a replica that is passed has to compare all keys. */
export const CompactRequest = closed({ revision: Revision, overHolds: Type.Optional(Flag) });
export type CompactRequest = Static<typeof CompactRequest>;
export const GrantLeaseRequest = closed({ ttlSeconds: Type.Integer({ minimum: 1 }) });
export type GrantLeaseRequest = Static<typeof GrantLeaseRequest>;

export const NoQuery = closed({});
export const VolumesQuery = closed({ service: OptionalText });
/** With `look` the hardware is looked at first. */
export const DevicesQuery = closed({ look: FlagQuery });
export const ClaimRequest = closed({ owner: Type.String({ minLength: 1 }) });
export type ClaimRequest = Static<typeof ClaimRequest>;
export const ReleaseQuery = closed({ owner: Type.String({ minLength: 1 }), force: FlagQuery });
export const RemoveQuery = closed({ force: FlagQuery });
/** Longer waits would outlast the deadline of an answer. */
export const WAIT_SECONDS_MAX = 60;
export const EventsQuery = closed({
  after: Type.Optional(Revision),
  limit: Limit,
  waitSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: WAIT_SECONDS_MAX })),
});
export const KvQuery = closed({ key: Key, revision: Type.Optional(Revision) });
const write = { key: Key, ifRevision: Type.Optional(Revision), relaxedMs: RelaxedMs };
export const KvDeleteQuery = closed(write);
export const KvPutQuery = closed({ ...write, lease: Type.Optional(LeaseId) });
export const KvListQuery = closed({
  ...span,
  after: OptionalText,
  limit: Limit,
  revision: Type.Optional(Revision),
  keysOnly: FlagQuery,
});

/** Seconds after which an idle watch says how far it has seen. Longer ones let a dead connection look idle. */
export const WATCH_PROGRESS_SECONDS_MAX = 3600;
export const KvWatchQuery = closed({
  ...span,
  from: Type.Optional(Revision),
  incarnation: OptionalText,
  previous: FlagQuery,
  only: Type.Optional(Type.Enum(['put', 'delete'])),
  progressSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: WATCH_PROGRESS_SECONDS_MAX })),
});
export const RefParams = Type.Object({ ref: Type.String({ minLength: 1 }) });
export const LeaseParams = Type.Object({ id: LeaseId });
