export type {
  Attachment,
  CreateRequest,
  Instance,
  ServiceConfig,
  Volume,
  Volumes,
  VolumeSpec,
  VolumeStatus,
} from './volume.ts';
