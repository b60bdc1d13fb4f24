/**
 * Goal: dependencies point one way (docs/architecture.md), and every npm package has one door and a
 * reason. Method: the imports of every file, from its syntax tree; planted violations must be found,
 * and the number of files and imports seen is asserted, for a check that saw nothing is green too.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, readSources, type Import, type SourceFile } from './support/imports.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

/** Who may import whom. `types`: only what the compiler erases. */
const MAY_IMPORT: Readonly<Record<string, Readonly<Record<string, 'all' | 'types'>>>> = {
  base: {},
  native: {},
  engine: { base: 'all' },
  devices: { base: 'all', native: 'all' },
  volumes: { base: 'all', native: 'all', devices: 'all', engine: 'types' },
  sync: { base: 'all', engine: 'all' },
  agent: {
    base: 'all',
    native: 'all',
    engine: 'all',
    devices: 'all',
    volumes: 'all',
    sync: 'all',
  },
};

/** Where each npm package that we import may be imported; a folder stands for all in it. */
const PACKAGE_DOORS: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['src/sync/stores/etcd'],
  '@grpc/proto-loader': ['src/sync/stores/etcd'],
  ajv: ['src/agent'],
  'better-sqlite3': ['src/engine/backends'],
  chokidar: ['src/agent/config', 'src/volumes', 'src/devices/sources'],
  commander: ['src/agent/cli'],
  'fastest-levenshtein': ['src/agent', 'src/volumes', 'src/devices'],
  fastify: ['src/agent'],
  lmdb: ['src/engine/backends'],
  mqtt: ['src/agent/faces/mqtt'],
  pino: ['src/agent'],
  'prom-client': ['src/agent/faces/metrics'],
  systeminformation: ['src/devices/sources'],
  typebox: ['src/agent'],
  uuid: ['src/base'],
  yaml: ['src/agent'],
};

/** Packages that nothing imports, and the words in the file that uses them. */
const USED_OTHERWISE: Readonly<Record<string, readonly [file: string, words: string]>> = {
  'node-addon-api': ['native/binding.gyp', "require('node-addon-api')"],
  'node-gyp': ['scripts/build-native', 'node_modules/.bin/node-gyp'],
  '@types/better-sqlite3': ['src/engine/backends/sqlite.ts', "from 'better-sqlite3'"],
  '@types/node': ['tsconfig.json', '"types": ["node"]'],
  oxfmt: ['package.json', 'oxfmt --check'],
  oxlint: ['package.json', 'oxlint --type-aware'],
  'oxlint-tsgolint': ['package.json', '--type-aware'],
  typescript: ['scripts/compile.cjs', 'node_modules/.bin/tsc'],
};

/** A folder in `src/agent` behind a door of its own; a face shows its wire as types too. */
const INNER_DOORS: ReadonlyArray<{ readonly folder: RegExp; readonly doors: readonly string[] }> = [
  { folder: /^src\/agent\/config\//, doors: ['index.ts'] },
  { folder: /^src\/agent\/faces\/[^/]+\//, doors: ['index.ts', 'schema.ts'] },
  {
    folder: /^src\/engine\/backends\//,
    doors: [
      'sqlite.ts',
      'lmdb.ts',
      'memory.ts',
      'snapshot.ts',
      'file-problems.ts',
      'open-files.ts',
    ],
  },
  { folder: /^src\/sync\/stores\/[^/]+\//, doors: ['index.ts'] },
];

function isTest(file: string): boolean {
  return file.startsWith('test/') || file.startsWith('bench/') || file.endsWith('.test.ts');
}

/** `base`, `engine`, … of a file of ours; undefined for anything else. */
function folderOf(file: string): string | undefined {
  if (file.startsWith('native/')) return 'native';
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

/** Every rule that a file of the product itself breaks, a sentence each. Tests may import anything. */
function violationsOf(files: readonly SourceFile[]): string[] {
  const imports = files.filter(({ path: file }) => !isTest(file)).flatMap(importsOf);
  return [
    ...imports.flatMap((one) => [...folderProblems(one), ...packageProblems(one)]),
    ...cycles(imports.filter(({ typeOnly }) => !typeOnly)).map((way) => `a cycle: ${way}`),
    ...cycles(imports.flatMap(betweenFolders)).map((way) => `a cycle of folders: ${way}`),
  ];
}

function folderProblems({ from, to, typeOnly }: Import): string[] {
  const [mine, theirs] = [folderOf(from), folderOf(to)];
  if (isTest(to)) return [`${from} imports a test: ${to}`];
  if (mine === undefined || theirs === undefined) return [];
  const problems: string[] = [];
  if (mine !== theirs) {
    const may = MAY_IMPORT[mine]?.[theirs];
    if (may === undefined) problems.push(`${from}: ${mine} may not import ${theirs} (${to})`);
    if (may === 'types' && !typeOnly) {
      problems.push(`${from}: ${mine} may import only types of ${theirs} (${to})`);
    }
    const isDoor = /^(src\/)?[^/]+\/index\.ts$/.test(to);
    if (theirs !== 'base' && !isDoor) problems.push(`${from}: not through the door: ${to}`);
  }
  return [...problems, ...innerProblems(from, to)];
}

function innerProblems(from: string, to: string): string[] {
  const problems: string[] = [];
  for (const { folder, doors } of INNER_DOORS) {
    const inner = folder.exec(to)?.[0];
    if (inner === undefined || from.startsWith(inner)) continue;
    if (!doors.includes(to.slice(inner.length)))
      problems.push(`${from}: not through the door: ${to}`);
  }
  const [mine, theirs] = [from, to].map((file) => /^src\/agent\/faces\/[^/]+\//.exec(file)?.[0]);
  if (mine !== undefined && theirs !== undefined && mine !== theirs) {
    problems.push(`${from}: faces never import each other (${to})`);
  }
  return problems;
}

function packageProblems({ from, to, npmPackage }: Import): string[] {
  if (folderOf(from) === 'base' && to.startsWith('node:')) {
    return [`${from}: base does no I/O (${to})`];
  }
  if (npmPackage === undefined) return [];
  const doors = PACKAGE_DOORS[npmPackage] ?? [];
  if (doors.some((door) => from.startsWith(`${door}/`))) return [];
  return [`${from} imports ${to}: only ${doors.join(', ') || 'nobody'} may`];
}

function betweenFolders({ from, to, npmPackage, typeOnly }: Import): Import[] {
  const [mine, theirs] = [folderOf(from), folderOf(to)];
  if (mine === undefined || theirs === undefined || mine === theirs) return [];
  return [{ from: mine, to: theirs, npmPackage, typeOnly }];
}

/** One way round for each knot: `a -> b -> a`. */
function cycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of imports) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (at: string, way: readonly string[]): void => {
    if (way.includes(at)) {
      found.push([...way.slice(way.indexOf(at)), at].join(' -> '));
      return;
    }
    if (done.has(at)) return;
    for (const next of edges.get(at) ?? []) walk(next, [...way, at]);
    done.add(at);
  };
  for (const from of edges.keys()) walk(from, []);
  return found;
}

describe('the files as they are', () => {
  const files = readSources(ROOT, ['src', 'native', 'test', 'bench']);
  const imports = files.flatMap(importsOf);

  it('were all read', () => {
    const product = files.filter(({ path: file }) => !isTest(file));
    expect(product.length).toBeGreaterThan(150);
    expect(imports.length).toBeGreaterThan(700);
    const folders = new Set(product.map(({ path: file }) => folderOf(file)));
    expect(folders).toEqual(new Set(Object.keys(MAY_IMPORT)));
  });

  it('keep every rule', () => expect(violationsOf(files)).toEqual([]));

  it('use every package that package.json names', () => {
    const { dependencies, devDependencies } = packageJson();
    const imported = new Set(imports.map(({ npmPackage }) => npmPackage));
    const unused = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => {
      const [file, words] = USED_OTHERWISE[name] ?? [];
      if (file === undefined || words === undefined) return !imported.has(name);
      return !readFileSync(path.join(ROOT, file), 'utf8').includes(words);
    });
    expect(unused).toEqual([]);
    const named = new Set(Object.keys({ ...dependencies, ...devDependencies }));
    expect([...imported].filter((name) => name !== undefined && !named.has(name))).toEqual([]);
    const doors = Object.keys(dependencies).filter((name) => USED_OTHERWISE[name] === undefined);
    expect(Object.keys(PACKAGE_DOORS).toSorted()).toEqual(doors.toSorted());
  });
});

describe('a planted violation is found:', () => {
  it.each<[string, Record<string, string>, string]>([
    [
      'a folder above',
      { 'src/engine/a.ts': `import '../sync/index.ts'` },
      'engine may not import sync',
    ],
    [
      'agent',
      { 'src/sync/a.ts': `import type { A } from '../agent/agent.ts'` },
      'sync may not import agent',
    ],
    [
      'base is a leaf',
      { 'src/base/a.ts': `export * from '../engine/index.ts'` },
      'base may not import engine',
    ],
    ['base does no I/O', { 'src/base/a.ts': `import 'node:fs'` }, 'base does no I/O'],
    [
      'a value where types are allowed',
      { 'src/volumes/a.ts': `import { openEngine } from '../engine/index.ts'` },
      'only types of engine',
    ],
    [
      'one value among types',
      { 'src/volumes/a.ts': `import { type A, b } from '../engine/index.ts'` },
      'only types of engine',
    ],
    [
      'past the door',
      { 'src/agent/a.ts': `import type { A } from '../volumes/volume.ts'` },
      'not through the door',
    ],
    [
      'past the door, as a type expression',
      { 'src/agent/a.ts': `type A = import('../volumes/volume.ts').A` },
      'not through the door',
    ],
    [
      'past a face’s door',
      { 'src/agent/a.ts': `import './faces/mqtt/link.ts'` },
      'not through the door',
    ],
    [
      'a face from a face',
      { 'src/agent/faces/mqtt/a.ts': `import '../metrics/index.ts'` },
      'faces never import each other',
    ],
    [
      'native imports ours',
      { 'native/a.ts': `import '../src/base/errors.ts'` },
      'native may not import base',
    ],
    [
      'a package past its door',
      { 'src/sync/a.ts': `const m = await import('mqtt')` },
      'imports mqtt: only src/agent/faces/mqtt may',
    ],
    [
      'a part of a package',
      { 'src/sync/a.ts': `import 'typebox/format'` },
      'imports typebox/format',
    ],
    ['required', { 'src/sync/a.ts': `createRequire(import.meta.url)('lmdb')` }, 'imports lmdb'],
    [
      'a package of the tests',
      { 'src/sync/a.ts': `import 'vitest'` },
      'imports vitest: only nobody may',
    ],
    ['a test', { 'src/sync/a.ts': `import '../../test/support/child.ts'` }, 'imports a test'],
    [
      'a cycle',
      { 'src/sync/a.ts': `import './b.ts'`, 'src/sync/b.ts': `import './a.ts'` },
      'a cycle: src/sync/a.ts -> src/sync/b.ts -> src/sync/a.ts',
    ],
    [
      'a cycle of folders by types',
      {
        'src/engine/a.ts': `import type { A } from '../sync/index.ts'`,
        'src/sync/a.ts': `import '../engine/index.ts'`,
      },
      'a cycle of folders: engine -> sync -> engine',
    ],
  ])('%s', (_what, texts, expected) => {
    const files = Object.entries(texts).map(([file, text]) => ({ path: file, text }));
    expect(violationsOf(files).join('\n')).toContain(expected);
  });

  it('something not written out', () => {
    const file = { path: 'src/sync/a.ts', text: 'const name = "lmdb"; await import(name)' };
    expect(() => violationsOf([file])).toThrow('not written out');
  });

  it('and what only looks like one is not', () => {
    const text = `// import '../agent/a.ts'\nconst a = "import 'lmdb'";\nimport type { A } from '../engine/index.ts';`;
    expect(violationsOf([{ path: 'src/volumes/a.ts', text }])).toEqual([]);
  });
});

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

function packageJson(): PackageJson {
  return JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as PackageJson;
}

describe('npm packages', () => {
  const { dependencies, devDependencies } = packageJson();
  const direct = { ...dependencies, ...devDependencies };
  interface Locked {
    readonly version?: string;
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly devDependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const lock = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };

  it('are pinned to one version, the one in the lock file', () => {
    const unpinned = Object.entries(direct).filter(
      ([name, version]) =>
        !/^\d+\.\d+\.\d+$/.test(version) ||
        lock.packages[`node_modules/${name}`]?.version !== version,
    );
    expect(unpinned).toEqual([]);
    expect(lock.packages['']).toMatchObject({ dependencies, devDependencies });
  });

  it('are all in the lock file, other platforms’ too, or else run scripts/complete-lock.cjs', () => {
    const missing: string[] = [];
    for (const [at, { dependencies: needs, optionalDependencies }] of Object.entries(
      lock.packages,
    )) {
      for (const name of Object.keys({ ...needs, ...optionalDependencies })) {
        if (!nodeWouldFind(name, at)) missing.push(`${name}, needed by ${at}`);
      }
    }
    expect(missing).toEqual([]);
    expect(Object.keys(lock.packages).length).toBeGreaterThan(200);
  });

  /** Node looks in the node_modules of the folder and of each one above it. */
  function nodeWouldFind(name: string, from: string): boolean {
    for (let at = from; ; at = at.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
      if (lock.packages[`${at}${at === '' ? '' : '/'}node_modules/${name}`]) return true;
      if (at === '') return false;
    }
  }

  it('each have a line in docs/dependencies.md', () => {
    const page = readFileSync(path.join(ROOT, 'docs/dependencies.md'), 'utf8');
    const lines = [...page.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm)];
    const listed = lines.map(([, name, version]) => `${name} ${version?.trim()}`);
    const wanted = Object.entries(direct).map(([name, version]) => `${name} ${version}`);
    expect(listed.toSorted()).toEqual(wanted.toSorted());
  });
});
