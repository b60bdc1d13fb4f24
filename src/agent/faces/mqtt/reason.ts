import { HoldfastError } from '../../../base/errors.ts';

/* Reason codes of MQTT 5 (section 2.4); below 128 those of MQTT 3.1.1 (section 3.2.2.3), which an older
   broker answers with. What isn't here passes by itself: busy, shutting down, moved. */
const NOT_MQTT_5 = new Set([1, 132]);
const BAD_LOGIN = new Set([4, 5, 134, 135, 138, 140]);
const NOT_ALLOWED = new Set([
  2, // identifier rejected
  133, // client identifier not valid
  143, // topic filter invalid
  144, // topic name invalid
  149, // packet too large
  151, // quota exceeded
  154, // retain not supported
  155, // QoS not supported
  162, // wildcard subscriptions not supported
]);
const TAKEN_OVER = 142;

/** OpenSSL's and Node's names for a certificate that isn't trusted, e.g. CERT_HAS_EXPIRED. */
const CERTIFICATE = /CERT|SIGNATURE|ALTNAME/;

/** True when the broker said it, in a packet of its own. */
export function isAnswer(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number';
}

/** What a failed CONNECT means: whether to try again, or that a person has to act. */
export function refusal(where: string, thrown: Error): HoldfastError {
  const code: unknown = 'code' in thrown ? thrown.code : undefined;
  if (typeof code === 'number') {
    const refused = said(where, code, thrown.message, thrown);
    if (refused) return refused;
  }
  const name = typeof code === 'string' ? code : 'no answer';
  // Node tries all addresses of a host, and its AggregateError has a code but no message.
  const message = thrown.message === '' ? name : thrown.message;
  const hint = CERTIFICATE.test(name)
    ? "check mqtt.caFile, the name in mqtt.url and this host's clock"
    : undefined;
  return new HoldfastError('NotReachable', `${where}: ${message}`, { cause: thrown, hint });
}

/** What a DISCONNECT of the broker means. */
export function farewell(where: string, code: number, reason: string | undefined): HoldfastError {
  if (code === TAKEN_OVER) return takenOver(where);
  const message = `the broker said goodbye, reason ${code}${reason ? `: ${reason}` : ''}`;
  return said(where, code, message) ?? lost(where, message);
}

export function takenOver(where: string): HoldfastError {
  return new HoldfastError('Conflict', `${where}: another agent speaks as this replica`, {
    hint: 'two agents have one replica id: was a state folder copied to another host?',
  });
}

export function lost(where: string, message: string, cause?: unknown): HoldfastError {
  return new HoldfastError('NotReachable', `${where}: ${message}`, { cause });
}

function said(
  where: string,
  code: number,
  message: string,
  cause?: unknown,
): HoldfastError | undefined {
  if (NOT_MQTT_5.has(code)) {
    const hint = 'the broker must speak MQTT 5';
    return new HoldfastError('NotSupported', `${where}: ${message}`, { cause, hint });
  }
  if (BAD_LOGIN.has(code)) {
    const hint =
      "check mqtt.username, mqtt.passwordFile and that the broker's access rules let it write <root>/<replica id>/state";
    return new HoldfastError('PermissionDenied', `${where}: ${message}`, {
      cause,
      hint,
      retry: 'later',
    });
  }
  if (NOT_ALLOWED.has(code)) {
    const hint = "docs/mqtt.md has what the broker must allow; see the broker's own log";
    return new HoldfastError('NotSupported', `${where}: ${message}`, { cause, hint });
  }
  return undefined;
}
