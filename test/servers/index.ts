/**
 * Real servers for tests: etcd and mosquitto as Debian packages them (`scripts/setup --tests`
 * installs them), each on free ports of 127.0.0.1 with its data in a temporary folder.
 *
 * - They are stopped by pid, and die with the process that started them, however that ends.
 * - `start…` resolves when the server serves, and throws what to install when it is missing; a test
 *   skips with `serverMissing(name)` as its reason.
 * - Nothing here needs vitest: the demo and the benches use it too.
 */
export { findCommand, requireServer, serverMissing, type ServerName } from './binaries.ts';
export { startEtcd, type Etcd, type EtcdOptions } from './etcd.ts';
export {
  startMosquitto,
  type Mosquitto,
  type MosquittoOptions,
  type MqttMessage,
  type SubscribeOptions,
} from './mosquitto.ts';
export { freePort } from './ports.ts';
