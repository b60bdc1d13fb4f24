import type { FastifyRequest } from 'fastify';
import { WireError } from './wire-error.ts';

/**
 * A query string as the reference reads it: names without case; no value is `true`; then an int64,
 * then a bool as Go's strconv.ParseBool knows it, then text. A repeated name is a list.
 */
export class GoQuery {
  readonly #values = new Map<string, string[]>();

  constructor(url: string) {
    const start = url.indexOf('?');
    if (start === -1) return;
    for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
      const key = name.toLowerCase();
      const values = this.#values.get(key);
      if (values) values.push(value);
      else this.#values.set(key, [value]);
    }
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  /** A presence flag: `?attach`, `?attach=`, `?attach=true` are set, `?attach=0` is not. @throws WireError 400 */
  flag(name: string): boolean {
    const values = this.#values.get(name.toLowerCase());
    if (values === undefined) return false;
    const parsed = values.length === 1 ? parseBool(values[0] ?? '') : undefined;
    if (parsed !== undefined) return parsed;
    throw new WireError(400, `the flag ?${name} is either there, true or false`, {
      value: values.join(','),
    });
  }

  /** The `attachments` mask, 0..31. */
  attachments(): number {
    const values = this.#values.get('attachments');
    if (values?.length !== 1) return 0;
    const value = values[0] ?? '';
    if (/^[+-]?\d+$/.test(value)) return Number(BigInt.asUintN(5, BigInt(value)));
    const parsed = parseBool(value);
    // `false` asks for the attachments, oddly; what is no bool asks for none.
    return parsed === undefined ? 0 : parsed ? MASK_OF_TRUE : MASK_OF_FALSE;
  }
}

const MASK_OF_TRUE = 15;
const MASK_OF_FALSE = 1;

function parseBool(text: string): boolean | undefined {
  if (['', '1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return undefined;
}

/** Queries of the reference that would change the answer's meaning. */
const UNSUPPORTED = ['async', 'filter'];

/** @throws WireError 501 for a query that we'd have to ignore */
export function readQuery(request: FastifyRequest): GoQuery {
  const query = new GoQuery(request.url);
  for (const name of UNSUPPORTED) {
    if (query.has(name)) {
      throw new WireError(501, `the query ?${name} isn't supported by this agent`, { query: name });
    }
  }
  return query;
}
