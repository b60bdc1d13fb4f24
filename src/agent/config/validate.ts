import { Ajv, type ErrorObject } from 'ajv';
import { closest, distance } from 'fastest-levenshtein';
import type { Config } from './config.ts';
import { ConfigSchema } from './schema.ts';
import type { Located, LocatedMap, Origin } from './yaml-file.ts';

/** One thing wrong with the files, at its place. */
export interface Problem {
  readonly origin: Origin;
  readonly message: string;
}

/** A typo has one or two wrong letters; a word further away is another word. */
const TYPO_DISTANCE_MAX = 3;

const ajv = new Ajv({
  allErrors: true,
  useDefaults: true,
  verbose: true,
  keywords: ['errorMessage', 'mayHoldSecret'],
});
const validate = ajv.compile<Config>(ConfigSchema);

/** The merged files against the schema, defaults filled in. */
export function validateShape(tree: LocatedMap): { config: Config } | { problems: Problem[] } {
  const config = structuredClone(toPlain(tree));
  if (validate(config)) return { config };
  const problems = (validate.errors ?? []).map((error) => describe(error, tree));
  return { problems };
}

/**
 * Where the value at `path` was written; for one that wasn't, the nearest thing around it that was.
 */
export function originAt(tree: Located, path: readonly (string | number)[]): Origin {
  let at = tree;
  let origin = tree.origin;
  for (const segment of path) {
    const next = childOf(at, segment);
    if (next === undefined) break;
    at = next;
    origin = at.origin;
  }
  return origin;
}

/** The located value at one step down; undefined when the files don't say it. */
export function childOf(located: Located, segment: string | number): Located | undefined {
  if (located.kind === 'map') return located.entries.get(String(segment))?.value;
  if (located.kind === 'list') return located.items[Number(segment)];
  return undefined;
}

/**
 * Maps without prototypes, so that a key like `__proto__` is a key like any other. A key with nothing
 * behind it counts as not said (`log:` whose lines are all commented out), but is still a key.
 */
function toPlain(located: Located): unknown {
  if (located.kind === 'scalar') return located.value;
  if (located.kind === 'list') return located.items.map(toPlain);
  const object = Object.create(null) as Record<string, unknown>;
  for (const [key, { value }] of located.entries) {
    const nothing = value.kind === 'scalar' && value.value === null;
    object[key] = nothing ? undefined : toPlain(value);
  }
  return object;
}

function describe(error: ErrorObject, tree: LocatedMap): Problem {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer);
  const key = path.filter((segment) => !/^\d+$/.test(segment)).join('.');
  const origin = originAt(tree, path);
  if (error.keyword === 'additionalProperties') {
    const unknown = String(error.params['additionalProperty']);
    return {
      origin: keyOrigin(tree, path, unknown) ?? origin,
      message: unknownKey(error, key, unknown),
    };
  }
  if (error.keyword === 'required') {
    const missing = String(error.params['missingProperty']);
    return { origin, message: `${key === '' ? 'the file' : `\`${key}\``} needs \`${missing}\`` };
  }
  return { origin, message: `\`${key}\` must be ${expected(error)}${got(error)}` };
}

function keyOrigin(tree: Located, path: readonly string[], key: string): Origin | undefined {
  let at: Located | undefined = tree;
  for (const segment of path) at = at && childOf(at, segment);
  return at?.kind === 'map' ? at.entries.get(key)?.keyOrigin : undefined;
}

function unknownKey(error: ErrorObject, parent: string, unknown: string): string {
  const properties: unknown = error.parentSchema?.['properties'];
  const known = Object.keys(properties ?? {});
  const full = parent === '' ? unknown : `${parent}.${unknown}`;
  const near = nearestKey(unknown.toLowerCase(), known);
  const advice =
    near === undefined ? `known here: ${known.join(', ')}` : `did you mean \`${near}\`?`;
  return `unknown key \`${full}\`; ${advice}`;
}

function nearestKey(unknown: string, known: readonly string[]): string | undefined {
  const longer = known.find((name) => name.toLowerCase().startsWith(unknown));
  if (longer !== undefined) return longer;
  const nearest = closest(unknown, known);
  return distance(unknown, nearest.toLowerCase()) <= TYPO_DISTANCE_MAX ? nearest : undefined;
}

function expected(error: ErrorObject): string {
  const own: unknown = error.parentSchema?.['errorMessage'];
  switch (error.keyword) {
    case 'type':
      return TYPE_NAMES[String(error.params['type'])] ?? String(error.params['type']);
    case 'enum':
      return `one of ${(error.params['allowedValues'] as unknown[]).join(', ')}`;
    case 'minimum':
      return `at least ${error.params['limit']}`;
    case 'maximum':
      return `at most ${error.params['limit']}`;
    case 'minItems':
      return `a list of at least ${error.params['limit']}`;
    case 'maxItems':
      return `a list of at most ${error.params['limit']}`;
    case 'minLength':
      return 'non-empty text';
    case 'maxLength':
      return `text of at most ${error.params['limit']} characters`;
    default:
      return typeof own === 'string' ? own : (error.message ?? 'something else');
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a map of keys',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
};

/** The value when it is short and plain; never where somebody may have put a password. */
function got(error: ErrorObject): string {
  if (error.parentSchema?.['mayHoldSecret'] === true) return '';
  const value: unknown = error.data;
  if (value === null) return ', it is empty';
  if (typeof value === 'number' || typeof value === 'boolean') return `, it is ${value}`;
  if (typeof value === 'string' && value.length <= 80) return `, it is "${value}"`;
  return '';
}

function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
