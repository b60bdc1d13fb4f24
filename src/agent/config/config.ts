import type { ServiceConfig } from '../../volumes/index.ts';

/** The effective configuration: files merged, defaults filled in, validated. Shape of `config.yaml`. */
export interface Config {
  readonly engine: {
    readonly backend: 'sqlite' | 'lmdb';
    /** Running time that the change log is kept. */
    readonly historyHours: number;
  };
  readonly http: {
    /** `host:port` of an extra TCP listener; absent = unix socket only. Loopback only: it has no authentication yet. */
    readonly listen?: string;
    /** Group that may use the unix socket (mode 0660). */
    readonly group?: string;
  };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
  readonly devices: {
    readonly rescanSeconds: number;
    /** Kinds of devices that are left out of a scan. */
    readonly ignore: readonly ('loop' | 'nbd' | 'ram' | 'zram' | 'rom' | 'unconfigured')[];
  };
  readonly volumes: {
    readonly services: readonly ServiceConfig[];
    /** How long one boot volume may hold up READY. */
    readonly bootDeadlineSeconds: number;
  };
  readonly sync: {
    /** First segment of the remote keys. */
    readonly root: string;
    readonly targets: readonly SyncTargetConfig[];
  };
  readonly mqtt?: MqttConfig;
}

export interface SyncTargetConfig {
  /** Names the cursor; default `etcd`. */
  readonly id: string;
  readonly type: 'etcd';
  /** `host:port` or `http(s)://host:port`, tried in turn. */
  readonly endpoints: readonly string[];
  readonly username?: string;
  readonly passwordFile?: string;
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
}

export interface MqttConfig {
  /** `mqtt://host:1883`, `mqtts://host:8883` */
  readonly url: string;
  /** First topic segment. */
  readonly root: string;
  readonly username?: string;
  readonly passwordFile?: string;
  readonly caFile?: string;
  readonly keepaliveSeconds: number;
}
