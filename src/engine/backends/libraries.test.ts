/**
 * Goal: a lock file that drifted is found here, not in a user's store: an SQLite that loses commits
 * (before 3.51.3), or a better-sqlite3 built for a newer Node, which crashes at the first open (13.x on Node 20).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';

const require = createRequire(import.meta.url);

interface Manifest {
  readonly engines: { readonly node: string };
  readonly binary?: { readonly napi_versions?: readonly number[] };
}

test('SQLite is 3.51.3 or newer', () => {
  const db = new Database(':memory:');
  const version = db.prepare<[], string>('SELECT sqlite_version()').pluck().get()!;
  db.close();
  const [major, minor, patch] = version.split('.').map(Number);
  expect(major! * 1e6 + minor! * 1e3 + patch!).toBeGreaterThanOrEqual(3_051_003);
});

test('better-sqlite3 is one for this Node', () => {
  const file = require.resolve('better-sqlite3/package.json');
  const { engines, binary } = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  const [major] = process.versions.node.split('.');
  expect(engines.node).toMatch(new RegExp(`\\b${major}\\.x|>=\\s*${major}\\b`));
  const needed = Math.max(0, ...(binary?.napi_versions ?? []));
  expect(Number(process.versions.napi)).toBeGreaterThanOrEqual(needed);
});

test("this Node has the Node-API that Holdfast's own addon is built for", () => {
  const gyp = readFileSync(new URL('../../../native/binding.gyp', import.meta.url), 'utf8');
  const needed = Number(/NAPI_VERSION=(\d+)/.exec(gyp)?.[1]);
  expect(needed).toBeGreaterThanOrEqual(1);
  expect(Number(process.versions.napi)).toBeGreaterThanOrEqual(needed);
});
