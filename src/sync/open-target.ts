import { readFile } from 'node:fs/promises';
import { HoldfastError, messageOf } from '../base/errors.ts';
import type { Engine } from '../engine/index.ts';
import { Replicator, type SyncStateChange } from './replicator.ts';
import type { ReplicaTarget } from './target.ts';

/** One entry of `sync.targets` in the configuration. */
export interface TargetConfig {
  /** Names the cursor. */
  readonly id: string;
  readonly type: 'etcd';
  /** `host:port` or `http(s)://host:port`, tried in turn. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tls?:
    | {
        readonly caFile?: string | undefined;
        readonly certFile?: string | undefined;
        readonly keyFile?: string | undefined;
      }
    | undefined;
}

/** Where this host's keys go: `/<root>/hosts/<replicaId>/…`. */
export interface Place {
  readonly root: string;
  readonly replicaId: string;
}

/**
 * Reads the files the config names and loads the code of this target's type; connects to nothing.
 * @throws ConfigInvalid
 */
export async function openTarget(config: TargetConfig, place: Place): Promise<ReplicaTarget> {
  if (!/^[^/\0]+$/.test(place.root)) {
    throw new HoldfastError('ConfigInvalid', `sync.root "${place.root}" is not one key segment`, {
      hint: 'a name without "/", for example holdfast',
    });
  }
  const { caFile, certFile, keyFile } = config.tls ?? {};
  const tls = config.tls && {
    ca: await readNamed(caFile, 'tls.caFile'),
    cert: await readNamed(certFile, 'tls.certFile'),
    key: await readNamed(keyFile, 'tls.keyFile'),
  };
  const auth = await readCredentials(config);
  const { EtcdClient, EtcdTarget } = await import('./stores/etcd/index.ts');
  const client = new EtcdClient({ endpoints: config.endpoints, tls, auth });
  return new EtcdTarget(config.id, client, place);
}

/** The service for one configured target. */
export function createReplicator(options: {
  readonly engine: Engine;
  readonly config: TargetConfig;
  readonly place: Place;
  readonly onState?: ((change: SyncStateChange) => void) | undefined;
}): Replicator {
  const { engine, config, place, onState } = options;
  const { id, type, endpoints } = config;
  const open = (): Promise<ReplicaTarget> => openTarget(config, place);
  return new Replicator({ engine, target: { id, type, endpoints, open }, onState });
}

async function readCredentials(
  config: TargetConfig,
): Promise<{ username: string; password: string } | undefined> {
  if (config.username === undefined) return undefined;
  const content = await readNamed(config.passwordFile, 'passwordFile');
  if (content === undefined) {
    throw new HoldfastError(
      'ConfigInvalid',
      `sync target ${config.id}: username without passwordFile`,
      {
        hint: 'write the password into a file of mode 0600 and name it in passwordFile',
      },
    );
  }
  // Editors and `echo` end the file with a newline that nobody means.
  return { username: config.username, password: content.toString('utf8').replace(/\r?\n$/, '') };
}

async function readNamed(path: string | undefined, option: string): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    throw new HoldfastError('ConfigInvalid', `sync ${option}: ${messageOf(cause)}`, { cause });
  }
}
