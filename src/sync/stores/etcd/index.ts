/**
 * etcd v3 over gRPC.
 *
 * - `EtcdClient`: unary calls, endpoints in turn, TLS, one token; knows nothing of replication.
 * - `EtcdTarget`: one replica's subtree as a ReplicaTarget on top of it.
 *
 * A write whose answer was lost is never repeated by the client: the error is NotReachable, and the
 * target's fence (the checkpoint's mod_revision in every transaction) tells what became of it.
 * Caveat: endpoints of two different clusters in one config aren't noticed as such.
 */
export type { TlsMaterial } from './connection.ts';
export { EtcdClient, type EtcdClientOptions } from './client.ts';
export { EtcdTarget } from './etcd-target.ts';
