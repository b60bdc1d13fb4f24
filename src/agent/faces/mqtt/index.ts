/**
 * The MQTT face: a status feed to a broker. It tells, and takes no orders.
 *
 * - `MqttFeed`: the service. Connects, tells everything, follows the changes, comes back when it lost the way.
 * - `Link`: one connection, from its CONNACK to its end. The library only transports: it queues nothing.
 * - `Documents`: the retained topics, a dirty bit each. What is sent is what is true when it is sent.
 * - `EventStream`: the numbered events, from the agent's ring and not from memory.
 * - `Topics`, `Wire`: the topic tree and its payloads as types; payloads.ts fills them.
 *
 * Invariants:
 * - While no broker answers, nothing piles up: at each connection all documents are sent as they are then.
 * - An old `lost` never outlives a new start: one client id for ever, the run's epoch in every `state`, and
 *   whatever else is retained as our `state` is replaced.
 * - Events may arrive twice, with the same number, and none is left out unnoticed: a gap in the numbers is
 *   an event that the ring no longer had, or that was too large for the broker.
 * - Idle, nothing is published or written. The position in the events is saved after events only.
 *
 * Caveats: a broker needs MQTT 5 and retained messages. Documents that others overwrite are repaired at the
 * next connection only (`state` at once). A document that is larger than the broker's packets stops the feed
 * (`refused`), because a mirror with a hole would look whole.
 */
export { MqttFeed, type FeedState, type FeedStateChange, type MqttFeedOptions } from './feed.ts';
export { FEED_TIMES, type FeedTimes } from './times.ts';
