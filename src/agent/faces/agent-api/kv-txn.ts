import { MiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { Compare, Transaction, TxnOp, TxnOpResult } from '../../../engine/index.ts';
import type { Agent } from '../../agent.ts';
import { NoQuery, TxnReply, TxnRequest, type TxnCompareBody, type TxnOpBody } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';
import { durabilityOf, inWordsOf, kvBody, userKey, userSpan } from './user-keys.ts';

/** Two of the largest values as base64 with room for more: a body is in memory whole, several times over. */
const TXN_BODY_BYTES_MAX = 4 * MiB;

/** `POST /kv/txn`: all of one branch, at one revision. */
export function kvTxnRoute(app: ApiInstance, { engine }: Agent): void {
  app.post(
    '/kv/txn',
    {
      bodyLimit: TXN_BODY_BYTES_MAX,
      schema: { querystring: NoQuery, body: TxnRequest, response: { 200: TxnReply } },
    },
    async (request) => {
      const transaction = transactionOf(request.body);
      const answer = await inWordsOf(keysOf(transaction), engine.transact(transaction));
      return { ...answer, results: answer.results.map(resultBody) };
    },
  );
}

function transactionOf(body: TxnRequest): Transaction {
  return {
    compares: body.compares?.map((one, i) => compareOf(one, at('compares', i))),
    then: body.then?.map((one, i) => opOf(one, at('then', i))),
    else: body.else?.map((one, i) => opOf(one, at('else', i))),
    durability: durabilityOf(body.relaxedMs),
  };
}

/** For messages, as the schema's own say it. */
function at(part: string, i: number): string {
  return `body: "${part}.${i}"`;
}

function compareOf(body: TxnCompareBody, where: string): Compare {
  const { target, operator, value, text, number, ...span } = body;
  const keys = userSpan(span, where);
  if (target === 'value') {
    if (number !== undefined) throw invalid(where, '"number" is for the other targets');
    return { ...keys, target, operator, value: bytesOf({ value, text }, where) };
  }
  if (value !== undefined || text !== undefined || number === undefined) {
    throw invalid(where, `target "${target}" is compared with a "number"`);
  }
  return { ...keys, target, operator, value: number };
}

function opOf(body: TxnOpBody, where: string): TxnOp {
  const { type, value, text, lease, previous, limit, ...span } = body;
  const isPut = type === 'put';
  if (!isPut && (value ?? text ?? lease) !== undefined) {
    throw invalid(where, `a ${type} has no "value", "text" or "lease"`);
  }
  if (type !== 'get' && limit !== undefined) throw invalid(where, `a ${type} has no "limit"`);
  if (type === 'get' && previous !== undefined) throw invalid(where, 'a get has no "previous"');
  if (type === 'get') return { ...userSpan(span, where), type, limit };
  if (!isPut) return { ...userSpan(span, where), type, previous };
  const { key, ...others } = span;
  if (key === undefined || Object.keys(others).length > 0) {
    throw invalid(where, 'a put names one "key"');
  }
  return { type, key: userKey(key), value: bytesOf({ value, text }, where), lease, previous };
}

/** @throws InvalidArgument when it isn't there, there twice, or not base64 */
function bytesOf({ value, text }: Pick<TxnOpBody, 'value' | 'text'>, where: string): Buffer {
  if ((value === undefined) === (text === undefined)) {
    throw invalid(where, 'either "text" or "value" (base64) is needed');
  }
  if (value === undefined) return Buffer.from(text ?? '');
  const bytes = Buffer.from(value, 'base64');
  // What isn't base64 would be dropped without a word.
  if (bytes.toString('base64') !== value) throw invalid(where, '"value" is not base64');
  return bytes;
}

function invalid(where: string, what: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `${where}: ${what}`, {
    hint: 'see docs/api.md',
  });
}

function keysOf({ compares = [], then = [], else: otherwise = [] }: Transaction): string[] {
  return [...compares, ...then, ...otherwise].flatMap((one) => ('key' in one ? [one.key] : []));
}

function resultBody(result: TxnOpResult): TxnReply['results'][number] {
  switch (result.type) {
    case 'put':
      return { type: 'put', previous: result.previous && [kvBody(result.previous)] };
    case 'delete': {
      const { deleted, previous } = result;
      return { type: 'delete', deleted, previous: previous?.map(kvBody) };
    }
    case 'get':
      return { type: 'get', kvs: result.kvs.map(kvBody), more: result.more };
  }
}
