import { v7 } from 'uuid';

/** A new UUIDv7 (RFC 9562): ordered by time of minting, safe as key, path and topic. */
export function newId(): string {
  return v7();
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}
