/** The identity of this machine, minted once and kept in the engine. */
export interface HostIdentity {
  /** UUIDv7, minted once. */
  readonly replicaId: string;
  readonly mintedAt: string;
  /** The replica id of the state that this host took over, which another host may still go by. */
  readonly clonedFrom?: string;
  /** The hardware facts it was minted on; empty ones are left out, never hashed as empty. */
  readonly fingerprint: HostFingerprint;
}

export interface HostFingerprint {
  readonly productUuid?: string;
  readonly boardSerial?: string;
  /** Permanent MAC addresses (`addr_assign_type` 0), sorted. */
  readonly macs: readonly string[];
  readonly rootDisk?: string;
  /** HMAC-SHA-256 of /etc/machine-id with an application key; the raw id never leaves the host. */
  readonly machine?: string;
}

/** What people like to read about a machine. */
export interface HostFacts {
  readonly hostname: string;
  readonly os: string;
  readonly kernel: string;
  readonly arch: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly manufacturer?: string;
  readonly model?: string;
  readonly virtual?: string;
}
