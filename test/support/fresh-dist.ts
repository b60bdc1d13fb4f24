import { compiledProgram } from './compiled.ts';

/**
 * vitest's globalSetup. The engine's commits run on a thread, which Node 20 can only start from compiled
 * code: also a test of the sources has that part of them from dist/.
 */
export function setup(): void {
  compiledProgram('src/engine/backends/commit-main.ts', ['src/engine', 'src/base']);
}
