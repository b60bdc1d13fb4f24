import { Ajv, type ErrorObject } from 'ajv';
import { distance } from 'fastest-levenshtein';
import type { FastifyError, FastifySchemaCompiler } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { HoldfastError, hasErrno, toHoldfastError } from '../base/errors.ts';

/* A query string is all text, so its numbers are converted; a JSON body says what it means, so
   nothing in it is. `verbose` puts the schema into the error: it knows the allowed names. */
const STRICT = { removeAdditional: false, useDefaults: false, allErrors: false, verbose: true };
const bodies = new Ajv({ ...STRICT, coerceTypes: false });
const queries = new Ajv({ ...STRICT, coerceTypes: true });

/** Fastify's validator compiler for every face. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? bodies : queries).compile(schema);

/** For a route whose body depends on its query. The check throws InvalidArgument. */
export function bodyCheck<T extends TSchema>(schema: T): (body: unknown) => Static<T> {
  const validate = bodies.compile<Static<T>>(schema);
  return (body) => {
    if (validate(body)) return body;
    throw validationError(validate.errors![0]!, 'body');
  };
}

/** A misspelling further away than this, or than half of the word, is another word: no suggestion. */
const SUGGESTION_DISTANCE_MAX = 3;

/** Whatever Fastify or a handler threw, as one of ours. `route` is for the message. */
export function toRequestError(thrown: unknown): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  if (!(thrown instanceof Error)) return toHoldfastError(thrown);
  const error = thrown as FastifyError;
  const failure = error.validation?.[0];
  if (failure) return validationError(failure as ErrorObject, error.validationContext ?? 'request');
  const known = FASTIFY_ERRORS[error.code];
  if (known) return known(error);
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new HoldfastError('InvalidArgument', error.message, { cause: error });
  }
  if (hasErrno(error, 'ECONNRESET')) {
    return new HoldfastError('Cancelled', 'the client went away', { cause: error });
  }
  return toHoldfastError(error);
}

const FASTIFY_ERRORS: Record<string, (error: FastifyError) => HoldfastError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: (cause) =>
    new HoldfastError('TooLarge', 'the request body is larger than this route takes', {
      hint: 'a kv value is at most 1 MiB, a transaction 4 MiB, any other body 2 MiB',
      cause,
    }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (cause) =>
    new HoldfastError('InvalidArgument', `the body's content type isn't JSON`, {
      hint: 'send Content-Type: application/json',
      cause,
    }),
  FST_ERR_CTP_INVALID_JSON_BODY: (cause) =>
    new HoldfastError('InvalidArgument', `the body isn't valid JSON`, { cause }),
  FST_ERR_CTP_EMPTY_JSON_BODY: (cause) =>
    new HoldfastError('InvalidArgument', 'the body is empty, though its content type says JSON', {
      hint: 'send a JSON object, or leave Content-Type out',
      cause,
    }),
  FST_ERR_BAD_URL: (cause) =>
    new HoldfastError('InvalidArgument', 'the path has a percent-encoding that is not UTF-8', {
      cause,
    }),
  FST_ERR_MAX_PARAM_LENGTH: (cause) =>
    new HoldfastError('InvalidArgument', 'a segment of the path is longer than any name or id', {
      cause,
    }),
  FST_ERR_HANDLER_TIMEOUT: (cause) =>
    new HoldfastError('DeadlineExceeded', 'the request was not done within its deadline', {
      hint: 'the work may still go on: read the volume again before repeating it',
      cause,
    }),
};

function validationError(failure: ErrorObject, part: string): HoldfastError {
  const where = part === 'querystring' ? 'query' : part;
  const path = failure.instancePath.slice(1).replaceAll('/', '.');
  const what = path === '' ? where : `${where}: "${path}"`;
  if (failure.keyword === 'additionalProperties') {
    return unknownProperty(String(failure.params['additionalProperty']), where, failure);
  }
  if (failure.keyword === 'required') {
    const name = String(failure.params['missingProperty']);
    return new HoldfastError('InvalidArgument', `${what} must have "${name}"`);
  }
  const allowed = failure.params['allowedValues'];
  const list = Array.isArray(allowed) ? `: ${allowed.map((value) => `"${value}"`).join(', ')}` : '';
  return new HoldfastError('InvalidArgument', `${what} ${failure.message ?? 'is invalid'}${list}`);
}

function unknownProperty(name: string, where: string, failure: ErrorObject): HoldfastError {
  const schema = failure.parentSchema as { properties?: Record<string, unknown> } | undefined;
  const known = Object.keys(schema?.properties ?? {});
  const nearest = known
    .map((candidate) => ({ candidate, away: distance(name, candidate) }))
    .toSorted((a, b) => a.away - b.away)[0];
  let hint = known.length === 0 ? 'none is known here' : `known: ${known.join(', ')}`;
  if (nearest && nearest.away <= Math.min(SUGGESTION_DISTANCE_MAX, name.length / 2))
    hint = `did you mean "${nearest.candidate}"?`;
  const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name;
  return new HoldfastError('InvalidArgument', `${where} has an unknown property "${shown}"`, {
    hint,
  });
}
