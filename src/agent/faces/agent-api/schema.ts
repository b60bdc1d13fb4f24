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

export const DeviceBody = Type.Object({
  id: Text,
  identity: Type.Object({
    scheme: Text,
    value: Text,
    confidence: Text,
    conflict: OptionalText,
  }),
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
  fileSystem: Type.Optional(Type.Object({ type: Text, label: OptionalText, uuid: OptionalText })),
  mountPoints: Texts,
  parent: OptionalText,
  children: Texts,
  holders: Texts,
  slaves: Texts,
  present: Flag,
});
export type DeviceBody = Static<typeof DeviceBody>;

/** GET /agent/v1/devices; one device: `DeviceBody` */
export const DevicesReply = Type.Object({ devices: Type.Array(DeviceBody) });
export type DevicesReply = Static<typeof DevicesReply>;

/** POST /agent/v1/devices/rescan */
export const RescanReply = Type.Object({
  events: Type.Array(Type.Object({ type: Text, device: DeviceBody })),
});
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
export const EventsReply = Type.Object({ events: Type.Array(EventBody) });
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

/** GET /agent/v1/kv. `value` is base64; `text` is there when the bytes are valid UTF-8. */
export const KvBody = Type.Object({
  key: Text,
  value: Text,
  text: OptionalText,
  createRevision: Count,
  modRevision: Count,
  version: Count,
});
export type KvBody = Static<typeof KvBody>;

/** GET /agent/v1/kv/list */
export const KvListReply = Type.Object({ kvs: Type.Array(KvBody), revision: Count, more: Flag });
export type KvListReply = Static<typeof KvListReply>;

/** PUT and DELETE /agent/v1/kv */
export const KvWriteReply = Type.Object({ revision: Count });
export type KvWriteReply = Static<typeof KvWriteReply>;

/**
 * A line of GET /agent/v1/kv/watch. A heartbeat has no changes and the newest revision the watcher
 * has seen. The last line of a watch that failed is an `ErrorBody` instead.
 */
export const KvWatchLine = Type.Object({
  revision: Count,
  changes: Type.Array(
    Type.Object({
      type: Type.Enum(['put', 'delete']),
      key: Text,
      /** Absent for a delete. */
      value: OptionalText,
      text: OptionalText,
      createRevision: Count,
      modRevision: Count,
      version: Count,
    }),
  ),
});
export type KvWatchLine = Static<typeof KvWatchLine>;

/** GET /healthz and /readyz */
export const ProbeReply = Type.Object({ state: Text, reasons: Texts });
export type ProbeReply = Static<typeof ProbeReply>;

/* Query strings. */
const Key = Type.String({ minLength: 1 });
const Revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Entries of one page, of kv and of events alike: about 1 MiB of small values. */
export const PAGE_ENTRIES_MAX = 10_000;
const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_ENTRIES_MAX }));

export const NoQuery = closed({});
export const VolumesQuery = closed({ service: OptionalText });
/** `?force`, `?force=true`, `?force=false` */
export const RemoveQuery = closed({ force: Type.Optional(Type.Enum(['', 'true', 'false'])) });
export const EventsQuery = closed({ after: Type.Optional(Revision), limit: Limit });
export const KvQuery = closed({ key: Key });
export const KvWriteQuery = closed({ key: Key, ifRevision: Type.Optional(Revision) });
export const KvListQuery = closed({ prefix: OptionalText, after: OptionalText, limit: Limit });
export const KvWatchQuery = closed({ prefix: OptionalText, from: Type.Optional(Revision) });
export const RefParams = Type.Object({ ref: Type.String({ minLength: 1 }) });
