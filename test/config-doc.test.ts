/**
 * Goal: docs/config.md says of every key what the schema and the running agent do with it. Method: the
 * page's table is made here, from the schema and from `diffConfig`, and compared.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { diffConfig, loadConfig, type Config } from '../src/agent/config/index.ts';
import { ConfigSchema } from '../src/agent/config/schema.ts';
import { schemaKeys, type KeySchema, type SchemaKey } from './support/schema-keys.ts';
import { tempDir } from './support/temp-dir.ts';

const PAGE = path.resolve(import.meta.dirname, '../docs/config.md');

/** A configuration that differs in one part, for the keys that begin with its name. */
const CHANGES: Readonly<Record<string, (config: Config) => Config>> = {
  'engine.backend': ({ engine, ...config }) => ({
    ...config,
    engine: { ...engine, backend: 'lmdb' },
  }),
  'engine.historyHours': ({ engine, ...config }) => ({
    ...config,
    engine: { ...engine, historyHours: 1 },
  }),
  'http.listen': (config) => ({ ...config, http: { listen: '127.0.0.1:1' } }),
  'http.group': (config) => ({ ...config, http: { group: 'other' } }),
  'log.level': (config) => ({ ...config, log: { level: 'debug' } }),
  'devices.rescanSeconds': ({ devices, ...config }) => ({
    ...config,
    devices: { ...devices, rescanSeconds: 5 },
  }),
  'devices.ignore': ({ devices, ...config }) => ({
    ...config,
    devices: { ...devices, ignore: [] },
  }),
  'volumes.bootDeadlineSeconds': ({ volumes, ...config }) => ({
    ...config,
    volumes: { ...volumes, bootDeadlineSeconds: 1 },
  }),
  'volumes.services': ({ volumes, ...config }) => ({
    ...config,
    volumes: { ...volumes, services: [{ name: 'dir', driver: 'dir', path: '/elsewhere' }] },
  }),
  'sync.root': ({ sync, ...config }) => ({ ...config, sync: { ...sync, root: 'other' } }),
  'sync.targets': ({ sync, ...config }) => ({
    ...config,
    sync: { ...sync, targets: [{ id: 'etcd', type: 'etcd', endpoints: ['a:1'] }] },
  }),
  mqtt: (config) => ({ ...config, mqtt: { url: 'mqtt://h', root: 'r', keepaliveSeconds: 5 } }),
};

async function defaults(): Promise<Config> {
  const file = path.join(tempDir('config'), 'config.yaml');
  const dirs = { stateDir: '/var/lib/holdfast' };
  return (await loadConfig({ path: file, explicit: false, dirs, isRoot: false })).config;
}

function whenApplied(key: string, running: Config): string {
  const part = Object.keys(CHANGES).find((one) => key === one || key.startsWith(`${one}.`));
  if (part === undefined) return '';
  const diff = diffConfig(running, CHANGES[part]!(running));
  expect([...diff.live, ...diff.restart]).toEqual([part]);
  return diff.live.length > 0 ? 'at once' : 'next start';
}

function valueOf(schema: KeySchema & { errorMessage?: string }): string {
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.type === 'object') return 'map';
  if (schema.type === 'array') return `list, at most ${schema.maxItems}`;
  if (schema.type === 'boolean') return '`true`, `false`';
  if (schema.type === 'integer') return `whole number, ${schema.minimum} to ${schema.maximum}`;
  return schema.errorMessage ?? 'text';
}

function row({ key, schema, required }: SchemaKey, running: Config): string {
  const plain = ['string', 'number'].includes(typeof schema.default);
  const missing = required && schema.default === undefined ? '**needed**' : '';
  const otherwise = plain ? `\`${String(schema.default)}\`` : missing;
  const cells = [`\`${key}\``, valueOf(schema), otherwise, whenApplied(key, running)];
  return `| ${[...cells, schema.description ?? ''].map(escaped).join(' | ')} |`;
}

/** Outside of code, Markdown takes `<name>` for HTML. */
function escaped(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');
}

it('docs/config.md has every key as it is', async () => {
  const running = await defaults();
  const keys = schemaKeys(ConfigSchema);
  const rows = keys.map((key) => row(key, running));
  const table = readFileSync(PAGE, 'utf8')
    .split('\n')
    .filter((line) => /^\| `[a-z]/.test(line));
  expect(keys.length).toBeGreaterThan(30);
  expect(table.join('\n')).toBe(rows.join('\n'));
});
