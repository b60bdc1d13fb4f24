import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const fromSource = import.meta.url.endsWith('.ts');

/** The checkout, from its sources as from dist/. */
export const projectRoot = fromSource ? here : path.dirname(here);

/**
 * A program to start with `node`: the compiled form of `source` (e.g. `test/crash/writer.ts`), as Node 20
 * runs no TypeScript. `needs` are the files and folders it imports.
 * @throws when dist/ is older than the sources: a test of yesterday's code would prove nothing.
 */
export function compiledProgram(source: string, needs: readonly string[]): string {
  const dist = fromSource ? path.join(here, 'dist') : here;
  if (fromSource) for (const need of [source, ...needs]) assertFresh(need, dist);
  return path.join(dist, source.replace(/\.ts$/, '.js'));
}

function readFingerprint(): string | undefined {
  const script = path.join(here, 'scripts/fingerprints.cjs');
  const output = execFileSync(process.execPath, [script], { encoding: 'utf8' });
  return /^FP_DIST='(.*)'$/m.exec(output)?.[1];
}

function readStamp(dist: string): string {
  try {
    return readFileSync(path.join(dist, '.setup-stamp'), 'utf8').trim();
  } catch {
    return '';
  }
}

function assertFresh(need: string, dist: string): void {
  for (const name of sourcesOf(need)) {
    const compiled = path.join(dist, name.replace(/\.ts$/, '.js'));
    const compiledMs = statSync(compiled, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (compiledMs < statSync(path.join(here, name)).mtimeMs) {
      // What scripts/setup goes by: a source that git or an editor wrote again as it was is newer, but no other.
      if (readFingerprint() === readStamp(dist)) return;
      throw new Error(`${compiled} is missing or older than its source: run scripts/setup --tests`);
    }
  }
}

function sourcesOf(need: string): string[] {
  if (need.endsWith('.ts')) return [need];
  return readdirSync(path.join(here, need), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => path.join(need, name));
}
