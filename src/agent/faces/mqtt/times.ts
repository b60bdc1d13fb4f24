/** Every wait of the feed, with its unit and its reason; tests give shorter ones. */
export interface FeedTimes {
  readonly connectTimeoutMs: number;
  readonly ackTimeoutMs: number;
  readonly stopDeadlineMs: number;
  readonly willDelaySeconds: number;
  readonly sessionExpirySeconds: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  readonly healthyAfterMs: number;
  readonly refusedRetryMs: number;
  readonly documentIntervalMs: number;
  readonly syncIntervalMs: number;
  readonly ackSaveIntervalMs: number;
}

export const FEED_TIMES: FeedTimes = {
  /** TCP, TLS and CONNACK together: a broker over a bad mobile link needs a few seconds. */
  connectTimeoutMs: 10_000,
  /** A broker that answers pings but no publishes for so long is not one to wait for. */
  ackTimeoutMs: 30_000,
  /** The last word and the DISCONNECT together; the agent has 10 s for all of its stop. */
  stopDeadlineMs: 2_000,
  /** How long the broker waits for our return before it says `lost`: a restart or a roaming modem needs less. */
  willDelaySeconds: 45,
  /** Has to outlast the will delay: the end of the session fires the will, too (MQTT 5, 3.1.3.2.2). */
  sessionExpirySeconds: 60,
  /** A broker that doesn't answer: full jitter between these. */
  backoffFirstMs: 1_000,
  backoffMaxMs: 60_000,
  /** A connection that lasted so long was good: the next failure starts from the first wait again. */
  healthyAfterMs: 60_000,
  /** A broker that says no is asked again this slowly: a person has to act, and brokers lock out who insists. */
  refusedRetryMs: 60_000,
  /** Between two publishes of one document; changes in between are one. */
  documentIntervalMs: 1_000,
  /** `sync` changes with every batch: under load all day, this is 10 MB and not 50. */
  syncIntervalMs: 5_000,
  /** While events are acknowledged, their position is a write of its own this often at most. */
  ackSaveIntervalMs: 30_000,
};
