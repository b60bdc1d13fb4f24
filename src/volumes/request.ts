import { closest, distance } from 'fastest-levenshtein';
import { formatBytes } from '../base/bytes.ts';
import { HoldfastError } from '../base/errors.ts';
import { checkName } from './name.ts';
import type { CreateRequest, FsType, ServiceConfig, VolumeSpec } from './volume.ts';

const FS_TYPES: readonly FsType[] = ['ext4', 'xfs'];
/** All fields together, as JSON: a record is copied to every replica and retained MQTT topic. */
const FIELDS_BYTES_MAX = 16 * 1024;
/** Image sizes are rounded up to this: the file systems' block, so that no tail of the image is unused. */
const SIZE_STEP_BYTES = 4096;
/** Below it mke2fs leaves the journal out ("too small for a journal", seen at 1 MiB), and a power cut needs fsck. */
const EXT4_BYTES_MIN = 8 * 1024 * 1024;
/** mkfs.xfs: "Filesystem must be larger than 300MB" (xfsprogs 6.1; 300 MiB exactly is accepted). */
const XFS_BYTES_MIN = 300 * 1024 * 1024;
const SIZE_BYTES_MIN: Record<FsType, number> = { ext4: EXT4_BYTES_MIN, xfs: XFS_BYTES_MIN };

const KNOWN_OPTIONS: Record<keyof CreateRequest, true> = {
  name: true,
  service: true,
  sizeBytes: true,
  fsType: true,
  preallocate: true,
  mountAtBoot: true,
  fields: true,
  availabilityZone: true,
  iops: true,
  type: true,
};

/**
 * Request and service -> the spec to be kept, defaults filled in. Pure.
 * @throws InvalidArgument for anything wrong with the request; NotFound for an unknown service
 */
export function specOf(
  request: CreateRequest,
  services: readonly ServiceConfig[],
  minted: { readonly id: string; readonly createdAt: string },
): { spec: VolumeSpec; service: ServiceConfig } {
  checkOptions(request);
  checkName(request.name);
  const service = pickService(request.service, services);
  const spec: VolumeSpec = {
    ...minted,
    name: request.name,
    service: service.name,
    driver: service.driver,
    ...(service.driver === 'loop' ? loopShape(request, service) : dirShape(request, service)),
    mountAtBoot: booleanOf(request.mountAtBoot, 'mountAtBoot') ?? false,
    fields: fieldsOf(request.fields),
    ...carried(request),
  };
  return { spec, service };
}

export function pickService(name: unknown, services: readonly ServiceConfig[]): ServiceConfig {
  const first = services[0];
  if (!first)
    throw new HoldfastError('NotFound', 'no volume service is configured', {
      hint: 'add one under volumes.services',
    });
  if (name === undefined) return first;
  if (typeof name !== 'string') throw invalid('service must be a text');
  // libStorage compares service names without case.
  const found = services.find((service) => service.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  const names = services.map((service) => service.name);
  throw new HoldfastError('NotFound', `there is no volume service "${name}"`, {
    hint: hintOf(name, names),
  });
}

function loopShape(request: CreateRequest, service: ServiceConfig) {
  const fsType = fsTypeOf(request.fsType) ?? service.fsType ?? 'ext4';
  const asked = sizeOf(request.sizeBytes);
  if (asked === undefined) {
    throw invalid(
      `a volume of service "${service.name}" needs a size`,
      'give a size of at least ' + formatBytes(SIZE_BYTES_MIN[fsType]),
    );
  }
  const min = SIZE_BYTES_MIN[fsType];
  if (asked < min) {
    throw invalid(
      `${asked} bytes are too few for ${fsType}, which needs ${min} (${formatBytes(min)})`,
      `ask for ${formatBytes(min)} or more`,
    );
  }
  const sizeBytes = Math.ceil(asked / SIZE_STEP_BYTES) * SIZE_STEP_BYTES;
  const preallocate = booleanOf(request.preallocate, 'preallocate') ?? service.preallocate ?? false;
  return { sizeBytes, fsType, preallocate };
}

function dirShape(request: CreateRequest, service: ServiceConfig) {
  if (fsTypeOf(request.fsType) !== undefined) {
    throw invalid(
      `service "${service.name}" keeps volumes as directories, which have no file system of their own`,
      'leave fsType out, or choose a loop service',
    );
  }
  if (booleanOf(request.preallocate, 'preallocate')) {
    throw invalid(
      `service "${service.name}" keeps volumes as directories, which cannot be preallocated`,
      'leave preallocate out, or choose a loop service',
    );
  }
  return { sizeBytes: sizeOf(request.sizeBytes) ?? 0 };
}

function sizeOf(size: unknown): number | undefined {
  if (size === undefined) return undefined;
  if (typeof size !== 'number' || Number.isNaN(size))
    throw invalid(`the size must be a number of bytes, not ${describe(size)}`);
  if (size <= 0) throw invalid(`the size must be above 0, not ${size}`);
  if (size > Number.MAX_SAFE_INTEGER - SIZE_STEP_BYTES)
    throw invalid(
      `the size ${size} is above the largest that can be counted (${Number.MAX_SAFE_INTEGER})`,
    );
  if (!Number.isInteger(size))
    throw invalid(`the size must be a whole number of bytes, not ${size}`);
  return size;
}

function fsTypeOf(fsType: unknown): FsType | undefined {
  if (fsType === undefined || fsType === '') return undefined;
  const found = FS_TYPES.find((known) => known === fsType);
  if (found) return found;
  throw invalid(
    `the file system ${describe(fsType)} is not known`,
    typeof fsType === 'string' ? hintOf(fsType, FS_TYPES) : undefined,
  );
}

function fieldsOf(fields: unknown): Readonly<Record<string, string>> {
  if (fields === undefined) return {};
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw invalid('fields must be an object of texts');
  for (const [key, value] of Object.entries(fields)) {
    if (typeof value !== 'string')
      throw invalid(`fields: "${key}" must be a text, not ${describe(value)}`);
  }
  const bytes = Buffer.byteLength(JSON.stringify(fields));
  if (bytes > FIELDS_BYTES_MAX)
    throw invalid(`fields have ${bytes} bytes; at most ${FIELDS_BYTES_MAX} are kept`);
  return { ...(fields as Record<string, string>) };
}

/** What we only carry for libStorage clients; empty and 0 mean "not given" there. */
function carried(request: CreateRequest) {
  const { availabilityZone, iops, type } = request;
  for (const [key, value] of Object.entries({ availabilityZone, type })) {
    if (value === undefined) continue;
    if (typeof value !== 'string') throw invalid(`${key} must be a text, not ${describe(value)}`);
    if (Buffer.byteLength(value) > NAME_LIKE_BYTES_MAX)
      throw invalid(`${key} has more than ${NAME_LIKE_BYTES_MAX} bytes`);
  }
  if (iops !== undefined && !(Number.isSafeInteger(iops) && iops >= 0)) {
    throw invalid(`iops must be a whole number from 0, not ${describe(iops)}`);
  }
  return {
    ...(availabilityZone ? { availabilityZone } : {}),
    ...(iops ? { iops } : {}),
    ...(type ? { type } : {}),
  };
}
const NAME_LIKE_BYTES_MAX = 128;

function booleanOf(value: unknown, option: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalid(`${option} must be true or false, not ${describe(value)}`);
}

function checkOptions(request: CreateRequest): void {
  for (const option of Object.keys(request)) {
    if (!Object.hasOwn(KNOWN_OPTIONS, option)) {
      throw invalid(`unknown option "${option}"`, hintOf(option, Object.keys(KNOWN_OPTIONS)));
    }
  }
}

/** Names further away than this share of their length are not what was meant. */
const TYPO_SHARE_MAX = 0.5;

function hintOf(word: string, known: readonly string[]): string {
  const nearest = closest(
    word.toLowerCase(),
    known.map((name) => name.toLowerCase()),
  );
  const match = known.find((name) => name.toLowerCase() === nearest);
  if (
    match &&
    distance(word.toLowerCase(), nearest) <= Math.max(1, match.length * TYPO_SHARE_MAX)
  ) {
    return `did you mean "${match}"?`;
  }
  return `known: ${known.join(', ')}`;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

function invalid(message: string, hint?: string): HoldfastError {
  return new HoldfastError('InvalidArgument', message, { hint });
}
