import type { LoadedConfig } from './load.ts';
import { childOf } from './validate.ts';
import { formatOrigin, type Located } from './yaml-file.ts';

/** One key of the effective configuration, as `holdfast config show` prints it. */
export interface ExplainedKey {
  /** e.g. `log.level`, `volumes.services[fast].path` */
  readonly key: string;
  readonly value: unknown;
  /** `file:line:column`, or `default`. */
  readonly origin: string;
}

/** Every key in force with where it was said. Holds no secrets: passwords are only ever in files. */
export function explainConfig({ config, tree }: LoadedConfig): ExplainedKey[] {
  const keys: ExplainedKey[] = [];
  walk(config, tree, '', keys);
  return keys;
}

function walk(
  value: unknown,
  located: Located | undefined,
  key: string,
  into: ExplainedKey[],
): void {
  if (value === undefined) return;
  if (isMap(value)) {
    for (const [name, child] of Object.entries(value)) {
      walk(child, located && childOf(located, name), key === '' ? name : `${key}.${name}`, into);
    }
  } else if (Array.isArray(value) && value.some(isMap)) {
    for (const [index, item] of value.entries()) {
      walk(item, located && childOf(located, index), `${key}[${nameOf(item) ?? index}]`, into);
    }
  } else {
    into.push({ key, value, origin: located ? formatOrigin(located.origin) : 'default' });
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nameOf(item: unknown): string | undefined {
  if (!isMap(item)) return undefined;
  const name = item['name'] ?? item['id'];
  return typeof name === 'string' ? name : undefined;
}
