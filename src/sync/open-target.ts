import { HoldfastError } from '../base/errors.ts';
// A type only: the code of a store is loaded when it is used.
import type { TlsMaterial } from './stores/etcd/index.ts';
import type { ReplicaTarget } from './target.ts';

/** A configured target with its secrets at hand: who reads them, and from where, isn't known here. */
export interface TargetConfig {
  /** Names the cursor. */
  readonly id: string;
  readonly type: 'etcd';
  /** `host:port` or `http(s)://host:port`, tried in turn. */
  readonly endpoints: readonly string[];
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  /** Present, even if empty: endpoints without a scheme speak TLS. */
  readonly tls?: TlsMaterial | undefined;
}

/** Where this host's keys go: `/<root>/hosts/<replicaId>/…`. */
export interface Place {
  readonly root: string;
  readonly replicaId: string;
}

/** Loads the code of this target's type; connects to nothing. @throws ConfigInvalid */
export async function openTarget(config: TargetConfig, place: Place): Promise<ReplicaTarget> {
  if (!/^[^/\0]+$/.test(place.root)) {
    throw new HoldfastError('ConfigInvalid', `sync.root "${place.root}" is not one key segment`, {
      hint: 'a name without "/", for example holdfast',
    });
  }
  const { endpoints, auth, tls } = config;
  const { EtcdClient, EtcdTarget } = await import('./stores/etcd/index.ts');
  return new EtcdTarget(config.id, new EtcdClient({ endpoints, tls, auth }), place);
}
