import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LoadOptions } from './config/index.ts';

/** Where one agent keeps its things. */
export interface Paths {
  readonly configFile: string;
  /** True when somebody named the file: then it must exist. */
  readonly configExplicit: boolean;
  readonly stateDir: string;
  readonly socket: string;
}

export interface PathFlags {
  readonly config?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly socket?: string | undefined;
}

/**
 * Flags first, then the environment (HOLDFAST_CONFIG, HOLDFAST_STATE_DIR, HOLDFAST_SOCKET), then the
 * system's directories for root and the XDG base directories for everybody else.
 */
export function resolvePaths(
  flags: PathFlags,
  env: NodeJS.ProcessEnv = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): Paths {
  const named = flags.config ?? nonEmpty(env['HOLDFAST_CONFIG']);
  const stateNamed = flags.stateDir ?? nonEmpty(env['HOLDFAST_STATE_DIR']);
  const socketNamed = flags.socket ?? nonEmpty(env['HOLDFAST_SOCKET']);
  const stateDir = resolve(
    stateNamed ??
      (isRoot ? '/var/lib/holdfast' : join(xdg(env, 'XDG_STATE_HOME', '.local/state'), 'holdfast')),
  );
  return {
    configFile: resolve(
      named ??
        (isRoot
          ? '/etc/holdfast/config.yaml'
          : join(xdg(env, 'XDG_CONFIG_HOME', '.config'), 'holdfast/config.yaml')),
    ),
    configExplicit: named !== undefined,
    stateDir,
    socket: resolve(
      socketNamed ?? (isRoot ? '/run/holdfast/holdfast.sock' : userSocket(env, stateDir)),
    ),
  };
}

/** How `loadConfig` wants them. */
export function configOptions({ configFile, configExplicit, stateDir }: Paths): LoadOptions {
  return { path: configFile, explicit: configExplicit, dirs: { stateDir } };
}

/** Without a runtime directory (no login session) the socket lives beside the state. */
function userSocket(env: NodeJS.ProcessEnv, stateDir: string): string {
  const runtime = nonEmpty(env['XDG_RUNTIME_DIR']);
  return runtime === undefined
    ? join(stateDir, 'holdfast.sock')
    : join(runtime, 'holdfast/holdfast.sock');
}

/** XDG Base Directory Specification: relative values are to be ignored. */
function xdg(env: NodeJS.ProcessEnv, variable: string, fallback: string): string {
  const value = nonEmpty(env[variable]);
  return value?.startsWith('/') ? value : join(env['HOME'] ?? homedir(), fallback);
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
