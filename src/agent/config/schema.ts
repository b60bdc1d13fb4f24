import { Type } from 'typebox';

/**
 * The one description of `config.yaml`: it validates (ajv), fills in defaults, names the nearest key
 * for a typo, and docs/config.md is checked against it. What a schema can't say (two services with one
 * name, one path inside another…) is in check.ts.
 */

/** Shorter than this, a scan of a host with many disks would be most of what the agent does. */
const RESCAN_SECONDS_MIN = 5;
/** A day: a longer wait is as good as no re-scan at all. */
const RESCAN_SECONDS_MAX = 86_400;
/** systemd's own default start timeout is 90 s; a boot volume may not use up more than ten minutes. */
const BOOT_DEADLINE_SECONDS_MAX = 600;
/** MQTT 5 section 3.1.2.10: two bytes of seconds. */
const KEEPALIVE_SECONDS_MAX = 65_535;
const KEEPALIVE_SECONDS_MIN = 5;
/** A year: the limits of the whole log come long before. */
const HISTORY_HOURS_MAX = 8_760;
/** etcd clusters have at most 7 members in practice. */
const ENDPOINTS_MAX = 16;
/** Each service is a folder and each target a connection: more is a mistake in the file. */
const SERVICES_MAX = 64;
const TARGETS_MAX = 16;
/** As many as there are kinds to leave out. */
const IGNORE_MAX = 6;

/** A name that is shown in URLs. */
const NAME = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';
/** A key segment and topic segment: no separators, wildcards or control characters, no `$SYS`. */
const SEGMENT = '^(?!\\$)[^/+#\\u0000-\\u001f\\u007f]{1,64}$';

const strict = { additionalProperties: false } as const;

const absolutePath = (description: string) =>
  Type.String({ pattern: '^/', maxLength: 4096, description, errorMessage: 'an absolute path' });

const secretFile = (description: string) =>
  Type.String({
    pattern: '^(/|%d/[^/]+$)',
    maxLength: 4096,
    description: `${description}: an absolute path, or \`%d/<name>\` for a systemd credential (LoadCredential=)`,
    errorMessage: 'an absolute path or %d/<name>',
    mayHoldSecret: true,
  });

const ServiceSchema = Type.Object(
  {
    name: Type.String({
      pattern: NAME,
      description: 'Name of the service, unique without regard to case',
      errorMessage: '1 to 64 letters, digits, dots, dashes or underscores',
    }),
    driver: Type.Enum(['dir', 'loop'], {
      description: '`dir`: a directory per volume. `loop`: an image file with a file system (root)',
    }),
    path: absolutePath('Folder that holds the directories or images'),
    fsType: Type.Optional(
      Type.Enum(['ext4', 'xfs'], {
        description: 'loop only: file system of new volumes; ext4 if not said',
      }),
    ),
    preallocate: Type.Optional(
      Type.Boolean({ description: 'loop only: allocate all blocks when a volume is created' }),
    ),
    presentAs: Type.Optional(
      Type.String({
        pattern: NAME,
        description: 'Driver name shown to libStorage clients instead of our own',
        errorMessage: '1 to 64 letters, digits, dots, dashes or underscores',
      }),
    ),
  },
  strict,
);

const TargetSchema = Type.Object(
  {
    id: Type.String({
      default: 'etcd',
      pattern: '^[a-z0-9][a-z0-9._-]{0,63}$',
      description: 'Names the cursor of this target; keep it when endpoints change',
      errorMessage: '1 to 64 lower-case letters, digits, dots, dashes or underscores',
    }),
    type: Type.Enum(['etcd'], { description: 'Kind of store' }),
    endpoints: Type.Array(Type.String({ minLength: 1, maxLength: 512, mayHoldSecret: true }), {
      minItems: 1,
      maxItems: ENDPOINTS_MAX,
      description: '`host:port` or `http(s)://host:port`, tried in turn',
    }),
    username: Type.Optional(Type.String({ minLength: 1, description: 'User of the store' })),
    passwordFile: Type.Optional(secretFile('File with its password')),
    tls: Type.Optional(
      Type.Object(
        {
          caFile: Type.Optional(absolutePath("Certificates that may sign the server's (PEM)")),
          certFile: Type.Optional(absolutePath('Our certificate (PEM)')),
          keyFile: Type.Optional(secretFile('Its private key (PEM)')),
        },
        { ...strict, description: 'TLS to the store' },
      ),
    ),
  },
  strict,
);

const MqttSchema = Type.Object(
  {
    url: Type.String({
      minLength: 1,
      maxLength: 512,
      description: '`mqtt://host:1883` or `mqtts://host:8883`; no user or password in it',
      mayHoldSecret: true,
    }),
    root: Type.String({
      default: 'holdfast',
      pattern: SEGMENT,
      description: 'First topic segment',
      errorMessage: 'one topic segment: 1 to 64 characters, none of / + #',
    }),
    username: Type.Optional(Type.String({ minLength: 1, description: 'User at the broker' })),
    passwordFile: Type.Optional(secretFile('File with its password')),
    caFile: Type.Optional(absolutePath("Certificates that may sign the broker's (PEM)")),
    keepaliveSeconds: Type.Integer({
      default: 30,
      minimum: KEEPALIVE_SECONDS_MIN,
      maximum: KEEPALIVE_SECONDS_MAX,
      description: 'The broker calls us lost after 1.5 times this silence plus the will delay',
    }),
  },
  { ...strict, description: 'Status feed; absent = off' },
);

export const ConfigSchema = Type.Object(
  {
    engine: Type.Object(
      {
        backend: Type.Enum(['sqlite', 'lmdb'], {
          default: 'sqlite',
          description: 'What holds the local truth; a state folder keeps the one it was made with',
        }),
        historyHours: Type.Integer({
          default: 24,
          minimum: 1,
          maximum: HISTORY_HOURS_MAX,
          description:
            'How long the change log is kept for readers that were away, in time the agent ran; sync targets hold it for longer, up to the limits of the whole log',
        }),
      },
      { ...strict, default: {}, description: 'The embedded key-value engine' },
    ),
    http: Type.Object(
      {
        listen: Type.Optional(
          Type.String({
            description:
              '`host:port` of a TCP listener beside the unix socket; loopback addresses only, for it has no authentication',
          }),
        ),
        group: Type.Optional(
          Type.String({
            pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,31}$',
            description: 'Group that may use the unix socket',
            errorMessage: 'the name of a group',
          }),
        ),
      },
      { ...strict, default: {}, description: 'The HTTP API' },
    ),
    log: Type.Object(
      {
        level: Type.Enum(['debug', 'info', 'warn', 'error'], {
          default: 'info',
          description: 'Least level that is logged',
        }),
      },
      { ...strict, default: {}, description: 'Logging' },
    ),
    devices: Type.Object(
      {
        rescanSeconds: Type.Integer({
          default: 60,
          minimum: RESCAN_SECONDS_MIN,
          maximum: RESCAN_SECONDS_MAX,
          description: 'Time between two scans of the block devices',
        }),
        ignore: Type.Array(Type.Enum(['loop', 'nbd', 'ram', 'zram', 'rom', 'unconfigured']), {
          default: ['ram', 'unconfigured'],
          maxItems: IGNORE_MAX,
          description:
            'Kinds of devices that are left out of a scan; `unconfigured`: loop and nbd numbers with nothing attached',
        }),
      },
      { ...strict, default: {}, description: 'Block devices of this host' },
    ),
    volumes: Type.Object(
      {
        services: Type.Array(ServiceSchema, {
          default: [],
          maxItems: SERVICES_MAX,
          description:
            'Where volumes may be made. None: `dir` at <state folder>/volumes/dir, and as root also `loop` at <state folder>/volumes/loop',
        }),
        bootDeadlineSeconds: Type.Integer({
          default: 30,
          minimum: 1,
          maximum: BOOT_DEADLINE_SECONDS_MAX,
          description: 'How long one volume marked mountAtBoot may hold up readiness',
        }),
      },
      { ...strict, default: {}, description: 'Volumes of this host' },
    ),
    sync: Type.Object(
      {
        root: Type.String({
          default: 'holdfast',
          pattern: SEGMENT,
          description: 'First segment of the remote keys',
          errorMessage: 'one key segment: 1 to 64 characters, none of / + #',
        }),
        targets: Type.Array(TargetSchema, {
          default: [],
          maxItems: TARGETS_MAX,
          description: 'Remote stores that get a copy',
        }),
      },
      { ...strict, default: {}, description: 'Copies in remote stores' },
    ),
    mqtt: Type.Optional(MqttSchema),
  },
  strict,
);
