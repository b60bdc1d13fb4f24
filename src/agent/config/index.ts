/**
 * Configuration: `config.yaml` and `config.d/*.yaml`.
 *
 * - *Schema*: the one description of the file; it validates, fills in and documents.
 * - *Located tree*: the files as read, every value with its file, line and column. Merging happens on
 *   it, so that an error or `config show` can always say where a value came from.
 * - *Effective configuration* (`Config`): merged, defaults filled in, checked.
 * - *Diff*: what of a new configuration can be applied live, and what waits for the next start.
 *
 * Invariants: reading changes nothing on disk; a wrong file never replaces a right configuration; a
 * password is never in the configuration, only the path of a file that holds it.
 * Caveat: paths are compared as written; links between services' folders are not followed.
 */
export type { Config, MqttConfig, SyncTargetConfig } from './config.ts';
export { loadConfig, type ConfigDirs, type LoadedConfig, type LoadOptions } from './load.ts';
export { explainConfig, type ExplainedKey } from './explain.ts';
export { diffConfig, type ConfigDiff, type ConfigPart } from './diff.ts';
export { ConfigWatcher, type ConfigWatcherOptions } from './watch.ts';
export { ConfigSchema } from './schema.ts';
export { readSecret, readSecretFile } from './secret.ts';
