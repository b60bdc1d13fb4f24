export type {
  Attachment,
  CreateRequest,
  DriverName,
  FsType,
  Instance,
  ServiceConfig,
  Volume,
  VolumePhase,
  Volumes,
  VolumeSpec,
  VolumeStatus,
} from './volume.ts';
