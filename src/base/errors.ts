/**
 * Every error Holdfast returns: a stable code, a sentence with the numbers in it, a hint with the
 * next step, and whether to try again. HTTP statuses and exit codes are read from this one table.
 * Programmer errors are `assert`, not these.
 */

/** `now`: the same call may succeed at once. `later`: after something else changes. `never`: as asked, it cannot. */
export type Retry = 'now' | 'later' | 'never';

interface CodeFacts {
  /** HTTP status of our own API. */
  readonly http: number;
  /** Exit code of the command line. */
  readonly exit: number;
  readonly retry: Retry;
}

/* Each code with when it occurs. The command's exit codes: 0 ok, 1 failure, 2 usage,
   3 agent not running, 5 not found, 6 conflict, 78 configuration (EX_CONFIG, sysexits.h). */
const CODES = {
  /** The request itself is wrong: a size, a name, a flag, a body. */
  InvalidArgument: { http: 400, exit: 2, retry: 'never' },
  /** A body or value is over its limit. */
  TooLarge: { http: 413, exit: 2, retry: 'never' },
  /** The operation needs a capability this process lacks (usually: not root). */
  PermissionDenied: { http: 403, exit: 1, retry: 'never' },
  /** No such volume, service, device or route. */
  NotFound: { http: 404, exit: 5, retry: 'never' },
  /** No such key in a store. */
  KeyNotFound: { http: 404, exit: 5, retry: 'never' },
  /** A thing of that name is already there. */
  AlreadyExists: { http: 409, exit: 6, retry: 'never' },
  /** A create-only write met an existing key. */
  KeyExists: { http: 409, exit: 6, retry: 'never' },
  /** A compare-and-swap met another revision than the one expected. */
  KeyModified: { http: 409, exit: 6, retry: 'now' },
  /** A compare-and-swap was asked without the entry to compare with. */
  PreviousNotSpecified: { http: 400, exit: 2, retry: 'never' },
  /** A lock could not be had: the place in its queue was lost. */
  CannotLock: { http: 409, exit: 6, retry: 'now' },
  /** The thing is in a state that forbids the operation (attached elsewhere, mounted, in use). */
  Conflict: { http: 409, exit: 6, retry: 'later' },
  /** The revision asked for is gone from the change log. */
  Compacted: { http: 410, exit: 1, retry: 'never' },
  /** The driver, file system, or platform cannot do this at all. */
  NotSupported: { http: 501, exit: 1, retry: 'never' },
  /** A file system, image or store has no room for what was asked. */
  NoSpace: { http: 507, exit: 1, retry: 'later' },
  /** A remote store or broker did not answer. */
  NotReachable: { http: 503, exit: 1, retry: 'later' },
  /** The agent is starting, stopping, or the component is down. */
  Unavailable: { http: 503, exit: 1, retry: 'later' },
  /** The deadline passed; the work may still go on. */
  DeadlineExceeded: { http: 504, exit: 1, retry: 'later' },
  /** The caller went away or the agent is stopping. */
  Cancelled: { http: 503, exit: 1, retry: 'later' },
  /** A host operation (mkfs, mount, loop attach…) failed; the message carries its own words. */
  HostFailed: { http: 500, exit: 1, retry: 'later' },
  /** Data on disk is damaged or is not what our record says it is. */
  Corrupt: { http: 500, exit: 1, retry: 'never' },
  /** The state folder belongs to another version, host or program. */
  StateMismatch: { http: 500, exit: 78, retry: 'never' },
  /** Another process has the state folder open. */
  Locked: { http: 409, exit: 6, retry: 'later' },
  /** The configuration is wrong; restarting won't help. */
  ConfigInvalid: { http: 400, exit: 78, retry: 'never' },
  /** Nothing listens on the agent's socket. */
  AgentNotRunning: { http: 503, exit: 3, retry: 'later' },
  /** A bug of ours. */
  Internal: { http: 500, exit: 1, retry: 'never' },
} as const satisfies Record<string, CodeFacts>;

export type ErrorCode = keyof typeof CODES;

export interface ErrorOptions {
  /** The next step, for a tired operator. */
  hint?: string | undefined;
  cause?: unknown;
  /** Overrides the code's own answer. */
  retry?: Retry;
}

/** The shape of an error on our own API and in `-o json`. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  hint?: string;
  retry: Retry;
}

export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retry: Retry;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.retry = options.retry ?? CODES[code].retry;
  }

  get httpStatus(): number {
    return CODES[this.code].http;
  }

  get exitCode(): number {
    return CODES[this.code].exit;
  }

  toJSON(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message, retry: this.retry };
    if (this.hint !== undefined) body.hint = this.hint;
    return body;
  }
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(CODES, code);
}

/** Whatever was thrown, as one of ours; a stranger becomes `Internal` with its message kept. */
export function toHoldfastError(thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  if (isNoSpace(thrown)) {
    return new HoldfastError('NoSpace', `no space left: ${messageOf(thrown)}`, { cause: thrown });
  }
  return new HoldfastError('Internal', messageOf(thrown), { cause: thrown });
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** True when `thrown` is a system error with this errno name (`ENOENT`, `EBUSY`…). */
export function hasErrno(thrown: unknown, errno: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === errno;
}

function isNoSpace(thrown: unknown): boolean {
  return hasErrno(thrown, 'ENOSPC') || hasErrno(thrown, 'EDQUOT');
}
