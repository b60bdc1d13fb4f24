import { HoldfastError, messageOf, type ErrorCode } from '../base/errors.ts';

const CODE_OF_ERRNO: Readonly<Record<string, ErrorCode>> = {
  EPERM: 'PermissionDenied',
  EACCES: 'PermissionDenied',
  ENOSPC: 'NoSpace',
  EDQUOT: 'NoSpace',
  EFBIG: 'NoSpace',
  EBUSY: 'Conflict',
  EEXIST: 'Conflict',
  ENOTEMPTY: 'Conflict',
  ENOENT: 'NotFound',
};

const HINTS: Partial<Record<ErrorCode, string>> = {
  PermissionDenied: 'run the agent as root for loop volumes, or use a dir service',
  NoSpace: 'free space on the file system that holds the service, or ask for less',
};

/** A system error as one of ours, saying what was tried. One of ours passes unchanged. */
export function hostFailure(thrown: unknown, attempt: string): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const errno = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const code = CODE_OF_ERRNO[errno] ?? 'HostFailed';
  return new HoldfastError(code, `${attempt}: ${messageOf(thrown)}`, {
    cause: thrown,
    hint: HINTS[code],
  });
}
