import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const fromSource = import.meta.url.endsWith('.ts');

/** The checkout, from its sources as from dist/. */
export const projectRoot = fromSource ? here : path.dirname(here);

/**
 * A program to start with `node`: the compiled form of `source` (e.g. `test/crash/writer.ts`), as Node 20
 * runs no TypeScript. `needs` are the folders it imports from.
 * @throws when dist/ is older than the sources: a test of yesterday's code would prove nothing.
 */
export function compiledProgram(source: string, needs: readonly string[]): string {
  const dist = fromSource ? path.join(here, 'dist') : here;
  if (fromSource) for (const folder of [path.dirname(source), ...needs]) assertFresh(folder, dist);
  return path.join(dist, source.replace(/\.ts$/, '.js'));
}

function assertFresh(folder: string, dist: string): void {
  for (const name of readdirSync(path.join(here, folder), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const source = path.join(here, folder, name);
    const compiled = path.join(dist, folder, name.replace(/\.ts$/, '.js'));
    const compiledMs = statSync(compiled, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (compiledMs < statSync(source).mtimeMs) {
      throw new Error(`${compiled} is missing or older than its source: run scripts/setup --tests`);
    }
  }
}
