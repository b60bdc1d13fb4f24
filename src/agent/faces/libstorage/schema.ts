/** The request bodies of libStorage that we take; one with an unknown property is refused. */
import { Type, type Static } from 'typebox';
import { GiB } from '../../../base/bytes.ts';

const SIZE_GIB_MAX = Math.floor(Number.MAX_SAFE_INTEGER / GiB);
const Opts = Type.Optional(Type.Record(Type.String(), Type.Unknown()));

export const VolumeCreateRequest = Type.Object(
  {
    name: Type.String(),
    availabilityZone: Type.Optional(Type.String()),
    encrypted: Type.Optional(Type.Boolean()),
    encryptionKey: Type.Optional(Type.String()),
    iops: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    /** GiB */
    size: Type.Optional(Type.Integer({ minimum: 0, maximum: SIZE_GIB_MAX })),
    type: Type.Optional(Type.String()),
    opts: Opts,
  },
  { additionalProperties: false },
);

export type VolumeCreateRequest = Static<typeof VolumeCreateRequest>;

export const VolumeAttachRequest = Type.Object(
  {
    force: Type.Optional(Type.Boolean()),
    nextDeviceName: Type.Optional(Type.String()),
    opts: Opts,
  },
  { additionalProperties: false },
);

export const VolumeDetachRequest = Type.Object(
  { force: Type.Optional(Type.Boolean()), opts: Opts },
  { additionalProperties: false },
);
