import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAst } from 'vitest/node';

export interface SourceFile {
  /** From the root of the project, e.g. `src/base/errors.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly from: string;
  /** A path from the root of the project, or else a specifier as written: `node:fs`, `@grpc/grpc-js`, `#addon`. */
  readonly to: string;
  /** `typebox` for `typebox/format`, `@grpc/grpc-js` as it is; undefined for our own files and Node's modules. */
  readonly npmPackage: string | undefined;
  /** Erased by the compiler: nothing is loaded because of it. */
  readonly typeOnly: boolean;
}

/** Every TypeScript file under the folders, fixtures left out. Folders that aren't there are empty. */
export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) => sourcesUnder(root, folder));
}

function sourcesUnder(root: string, folder: string): SourceFile[] {
  let entries;
  try {
    entries = readdirSync(path.join(root, folder), { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      return entry.name === 'fixtures' || entry.name === 'build' ? [] : sourcesUnder(root, name);
    }
    if (!entry.name.endsWith('.ts')) return [];
    return [{ path: name, text: readFileSync(path.join(root, name), 'utf8') }];
  });
}

/**
 * What a file imports, read from its syntax tree, so that a string or comment is never taken for one:
 * static imports and exports, `import()` as value and as type, `require()` and `createRequire(…)()`.
 * @throws when the file doesn't parse, or imports something that isn't written out
 */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isNode(value)) return;
    const target = targetOf(value, file);
    if (target !== undefined) found.push(resolve(file.path, target, isTypeOnly(value)));
    Object.values(value).forEach(visit);
  };
  visit(parseAst(file.text, { lang: 'ts' }));
  return found;
}

type Node = Readonly<Record<string, unknown>> & { readonly type: string };

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value;
}

function targetOf(node: Node, file: SourceFile): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      return isNode(node['source']) ? literal(node['source'], file) : undefined;
    case 'ImportExpression':
    case 'TSImportType':
      return literal(node['source'], file);
    case 'CallExpression':
      return isRequire(node['callee'])
        ? literal((node['arguments'] as unknown[])[0], file)
        : undefined;
    default:
      return undefined;
  }
}

function isRequire(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  if (callee.type === 'Identifier') return callee['name'] === 'require';
  const inner = callee.type === 'CallExpression' ? callee['callee'] : undefined;
  return isNode(inner) && inner['name'] === 'createRequire';
}

function literal(node: unknown, file: SourceFile): string {
  const value = isNode(node) ? node['value'] : undefined;
  if (typeof value === 'string') return value;
  throw new Error(`${file.path}: imports what is not written out, so nobody can check it`);
}

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType') return true;
  if (node['importKind'] === 'type' || node['exportKind'] === 'type') return true;
  const names = (node['specifiers'] as Node[] | undefined) ?? [];
  return (
    names.length > 0 &&
    names.every((name) => name['importKind'] === 'type' || name['exportKind'] === 'type')
  );
}

function resolve(from: string, specifier: string, typeOnly: boolean): Import {
  if (specifier.startsWith('.')) {
    const to = path.posix.join(path.posix.dirname(from), specifier);
    return { from, to, npmPackage: undefined, typeOnly };
  }
  const ours = specifier.startsWith('#') || specifier.startsWith('node:');
  const depth = specifier.startsWith('@') ? 2 : 1;
  const npmPackage = ours ? undefined : specifier.split('/').slice(0, depth).join('/');
  return { from, to: specifier, npmPackage, typeOnly };
}
